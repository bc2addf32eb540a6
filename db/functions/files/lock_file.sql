-- Whoever changes a name, a place or a content takes the workspace's row first, and looks behind
-- it: so changes of one tree come one after another, two moves can't make a circle, nor can a file
-- be put into a folder that is just being deleted.
CREATE OR REPLACE FUNCTION roost.lock_file(p_file_id uuid, p_sees_deleted boolean)
RETURNS roost.file_sync_state
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_described roost.file := roost.require_file(p_file_id, true);
    v_file roost.file_sync_state;
BEGIN
    PERFORM roost.lock_workspace(v_described.workspace_id, 'editor');
    v_described := roost.require_file(p_file_id, p_sees_deleted);

    SELECT file.*
    INTO STRICT v_file
    FROM roost.file_sync_state AS file
    WHERE file.id = v_described.id;

    RETURN v_file;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_file(uuid, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_file(uuid, boolean) TO roost_api;

COMMENT ON FUNCTION roost.lock_file(uuid, boolean) IS
'Locks the workspace of a file or folder, and answers that as it is then. Raises RO101 for nobody,
RO201 where there is none, or not any more, and RO202 when the role is too low.';

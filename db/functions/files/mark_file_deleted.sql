CREATE OR REPLACE FUNCTION roost.mark_file_deleted(p_file_id uuid)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_path text := roost.file_path(p_file_id);
BEGIN
    UPDATE roost.file_sync_state AS file
    SET deleted_at = now(),
        sync_status = 'deleted',
        updated_at = now(),
        updated_by = roost.current_user_id()
    WHERE file.id = p_file_id;

    RETURN roost.publish_file(p_file_id, 'file.deleted', v_path);
END;
$$;

REVOKE ALL ON FUNCTION roost.mark_file_deleted(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.mark_file_deleted(uuid) TO roost_api;

COMMENT ON FUNCTION roost.mark_file_deleted(uuid) IS
'Deletes a file, or a folder with all that is in it, which is not touched, tells the workspace,
and answers it. To be called under roost.lock_workspace.';

-- The one funnel of access to a file by its id: the policies say what there is.
CREATE OR REPLACE FUNCTION roost.require_file(p_file_id uuid, p_sees_deleted boolean)
RETURNS roost.file
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file roost.file_sync_state;
    v_path text;
BEGIN
    PERFORM roost.require_user();

    SELECT file.*
    INTO v_file
    FROM roost.file_sync_state AS file
    WHERE file.id = p_file_id;
    v_path := roost.file_path(p_file_id);

    IF v_file.id IS NULL OR (v_path IS NULL AND NOT p_sees_deleted) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such file, it was deleted, or it is not yours to see.',
            DETAIL = format('File: %s', coalesce(p_file_id::text, 'null')),
            HINT = 'Send the id of a file from list_files; restore_file brings one back.';
    END IF;

    RETURN roost.describe_file(v_file, v_path);
END;
$$;

REVOKE ALL ON FUNCTION roost.require_file(uuid, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_file(uuid, boolean) TO roost_api;

COMMENT ON FUNCTION roost.require_file(uuid, boolean) IS
'A file or folder that the caller may read, with its path; with p_sees_deleted also one that is
deleted, whose path is NULL. Raises RO101 for nobody, RO201 where there is none.';

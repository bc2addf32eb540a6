CREATE OR REPLACE FUNCTION roost.find_file(p_workspace_id uuid, p_parts text[])
RETURNS roost.file_sync_state
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_id uuid;
    v_clash text;
    v_file roost.file_sync_state;
BEGIN
    SELECT known.o_file_id, known.o_clash
    INTO v_id, v_clash
    FROM roost.look_up_file(p_workspace_id, p_parts) AS known;

    IF v_clash IS NOT NULL THEN
        PERFORM roost.raise_clash(array_to_string(p_parts, '/'), v_clash);
    END IF;

    SELECT file.*
    INTO v_file
    FROM roost.file_sync_state AS file
    WHERE file.id = v_id;

    RETURN v_file;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_file(uuid, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_file(uuid, text[]) TO roost_api;

COMMENT ON FUNCTION roost.find_file(uuid, text[]) IS
'What is at a path, NULLs where nothing is. Raises RO310 where something differs in capitals
alone.';

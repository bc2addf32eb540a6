CREATE OR REPLACE FUNCTION roost.make_folders(p_workspace_id uuid, p_parts text[])
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_found roost.file_sync_state;
    v_id uuid;
BEGIN
    IF cardinality(p_parts) = 0 THEN
        RETURN NULL;
    END IF;

    v_found := roost.find_file(p_workspace_id, p_parts);

    IF v_found.kind = 'folder' THEN
        RETURN v_found.id;
    ELSIF v_found.kind = 'file' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'A file is where a folder would have to be.',
            DETAIL = format(
                'path: %s; File: %s', left(array_to_string(p_parts, '/'), 200), v_found.id
            ),
            HINT = 'Move that file, or send another path.';
    END IF;

    -- What is above it first.
    v_id := roost.make_folders(p_workspace_id, p_parts[1 : cardinality(p_parts) - 1]);

    RETURN (
        roost.add_file(
            p_workspace_id, v_id, array_to_string(p_parts, '/'), NULL, NULL, NULL, NULL
        )
    ).id;
END;
$$;

REVOKE ALL ON FUNCTION roost.make_folders(uuid, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.make_folders(uuid, text[]) TO roost_api;

COMMENT ON FUNCTION roost.make_folders(uuid, text[]) IS
'The id of the folder at a path, which is made if need be, as are those above it; NULL for the top
of the workspace. Raises RO301 where a file is in the way, RO310 where a name differs in capitals
alone. To be called under roost.lock_workspace.';

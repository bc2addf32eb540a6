CREATE OR REPLACE FUNCTION api.copy_file(file_id uuid, path text)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT bigint := 1000;
    v_file roost.file_sync_state;
    v_from text;
    v_parts text[] := roost.split_file_path(copy_file.path);
    v_to text := array_to_string(v_parts, '/');
    v_walked roost.walked_file[];
    v_parents uuid[];
    v_step roost.walked_file;
    v_depth integer;
    v_copy roost.file;
    v_first roost.file;
BEGIN
    v_file := roost.lock_file(copy_file.file_id, false);
    v_from := roost.file_path(v_file.id);
    PERFORM roost.require_free_path(v_file.workspace_id, v_parts, NULL);

    -- What is there before anything is made: a folder may be copied into itself.
    v_walked := ARRAY(
        SELECT walked
        FROM roost.walk_files(
            v_file.workspace_id,
            string_to_array(v_from, '/') || ''::text,
            NULL,
            v_from || '/',
            CASE v_file.kind WHEN 'folder' THEN c_most + 1 ELSE 0 END
        ) AS walked
    );

    IF cardinality(v_walked) > c_most THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'There is too much in the folder.',
            DETAIL = format('File: %s', v_file.id),
            HINT = 'Copy its parts one by one, of at most 1,000 files and folders.';
    END IF;

    v_parents[1] := roost.make_folders(
        v_file.workspace_id, v_parts[1 : cardinality(v_parts) - 1]
    );
    v_step.path := v_from;
    v_step.parts := string_to_array(v_from, '/');
    v_step.file := v_file;

    FOREACH v_step IN ARRAY ARRAY[v_step] || v_walked LOOP
        v_depth := cardinality(v_step.parts) - cardinality(string_to_array(v_from, '/')) + 1;
        -- What is too deep or too long there is refused.
        v_parts := roost.split_file_path(v_to || substr(v_step.path, char_length(v_from) + 1));
        v_copy := roost.add_file(
            v_file.workspace_id,
            v_parents[v_depth],
            array_to_string(v_parts, '/'),
            CASE
                WHEN (v_step.file).kind = 'file'
                    THEN roost.require_content(v_file.workspace_id, (v_step.file).content_id)
            END,
            (v_step.file).media_type,
            (v_step.file).modified_at,
            (v_step.file).metadata
        );
        v_parents[v_depth + 1] := v_copy.id;
        v_first := CASE WHEN v_depth = 1 THEN v_copy ELSE v_first END;
    END LOOP;

    RETURN v_first;
END;
$$;

ALTER FUNCTION api.copy_file(uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.copy_file(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.copy_file(uuid, text) TO roost_user;

COMMENT ON FUNCTION api.copy_file(uuid, text) IS
'Copies a file as it is now, or a folder with all that is in it, which is stored once for both.
Folders on the way are made. Everybody in the workspace gets file.created for each.

Callers: the owner of the workspace, and editors.
Arguments: file_id, of a file, or of a folder with at most 1,000 files and folders in it. path,
where the copy is to be, within the same workspace.
Returns: the copy, an object as get_file answers it; its version is 1.
Errors: RO101, RO201 (no such file, or deleted), RO202 (role too low), RO301 (something is
there), RO302 (path, or too much in it), RO310 (a name there differs in capitals alone).
Example: POST /rpc/copy_file {"file_id": "<id>", "path": "src/copy.py"}';

CREATE OR REPLACE FUNCTION api.move_file(
    file_id uuid,
    path text DEFAULT NULL,
    folder_id uuid DEFAULT NULL,
    name text DEFAULT NULL
)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file roost.file_sync_state;
    v_from text;
    v_to text := move_file.path;
    v_folder roost.file;
    v_parts text[];
    v_parent_id uuid;
BEGIN
    v_file := roost.lock_file(move_file.file_id, false);
    v_from := roost.file_path(v_file.id);

    IF (move_file.path IS NULL) = (move_file.folder_id IS NULL AND move_file.name IS NULL)
        OR move_file.name ~ '/'
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said where to.',
            DETAIL = format('File: %s', v_file.id),
            HINT = 'Send path; or folder_id, name, or both.';
    END IF;

    IF v_to IS NULL THEN
        IF coalesce(move_file.folder_id, v_file.parent_id) IS NOT NULL THEN
            v_folder := roost.require_file(
                coalesce(move_file.folder_id, v_file.parent_id), false
            );
        END IF;

        IF v_folder.kind = 'file' OR v_folder.workspace_id <> v_file.workspace_id THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO302',
                MESSAGE = 'This is no folder of the workspace.',
                DETAIL = format('folder_id: %s', move_file.folder_id),
                HINT = 'Send the id of a folder of the same workspace; copy to another.';
        END IF;

        v_to := concat_ws('/', v_folder.path, coalesce(move_file.name, v_file.name));
    END IF;

    v_parts := roost.split_file_path(v_to);
    v_to := array_to_string(v_parts, '/');

    IF starts_with(v_to, v_from || '/') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'A folder can''t be moved into itself.',
            DETAIL = format('from: %s; to: %s', left(v_from, 200), left(v_to, 200)),
            HINT = 'Send a path outside of it.';
    END IF;

    IF v_to = v_from THEN
        RETURN roost.describe_file(v_file, v_from);
    END IF;

    PERFORM roost.require_free_path(v_file.workspace_id, v_parts, v_file.id);

    IF v_file.kind = 'folder' THEN
        PERFORM roost.require_room_below(v_file.id, v_from, v_to);
    END IF;

    v_parent_id := roost.make_folders(
        v_file.workspace_id, v_parts[1 : cardinality(v_parts) - 1]
    );

    UPDATE roost.file_sync_state AS file
    SET parent_id = v_parent_id,
        name = v_parts[cardinality(v_parts)],
        updated_at = now(),
        updated_by = roost.current_user_id()
    WHERE file.id = v_file.id;

    RETURN roost.publish_file(
        v_file.id, 'file.moved', v_to, jsonb_build_object('from_path', v_from)
    );
END;
$$;

ALTER FUNCTION api.move_file(uuid, text, uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.move_file(uuid, text, uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.move_file(uuid, text, uuid, text) TO roost_user;

COMMENT ON FUNCTION api.move_file(uuid, text, uuid, text) IS
'Moves or renames a file, or a folder with all that is in it, which keeps its ids and versions.
Folders on the way to path are made. Everybody in the workspace gets file.moved, with from_path;
a call that changes nothing tells nobody.

Callers: the owner of the workspace, and editors.
Arguments: file_id. path, where to, within the workspace; or folder_id, the folder to put it
into, and name, either of which stays as it is where it is left out.
Returns: the file, an object as get_file answers it.
Errors: RO101, RO201 (no such file or folder, or deleted), RO202 (role too low), RO301 (something
is there), RO302 (path, into itself, too deep, or it is not said where to), RO310 (a name there
differs in capitals alone).
Example: POST /rpc/move_file {"file_id": "<id>", "path": "src/old/main.py"}';

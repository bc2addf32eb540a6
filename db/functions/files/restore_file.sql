CREATE OR REPLACE FUNCTION api.restore_file(file_id uuid, path text DEFAULT NULL)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_kept CONSTANT interval := '30 days'::interval;
    v_file roost.file_sync_state := roost.lock_file(restore_file.file_id, true);
    v_parts text[];
    v_folder_path text := roost.file_path(v_file.parent_id);
    v_now text := roost.file_path(v_file.id);
    v_parent_id uuid;
BEGIN
    IF v_now IS NOT NULL THEN
        RETURN roost.describe_file(v_file, v_now);
    ELSIF v_file.deleted_at < now() - c_kept THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO305',
            MESSAGE = 'It was deleted too long ago.',
            DETAIL = format('deleted_at: %s', v_file.deleted_at),
            HINT = 'Upload it again: nothing brings it back.';
    ELSIF restore_file.path IS NOT NULL THEN
        v_parts := roost.split_file_path(restore_file.path);
    ELSIF v_file.parent_id IS NOT NULL AND v_folder_path IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'The folder that it was in is deleted.',
            DETAIL = format('Folder: %s', v_file.parent_id),
            HINT = 'Restore that folder first, or send a path to restore it to.';
    ELSE
        v_parts := string_to_array(concat_ws('/', v_folder_path, v_file.name), '/');
    END IF;

    PERFORM roost.require_free_path(v_file.workspace_id, v_parts, NULL);

    IF v_file.kind = 'folder' THEN
        PERFORM roost.require_room_below(v_file.id, '', array_to_string(v_parts, '/'));
    END IF;

    v_parent_id := roost.make_folders(
        v_file.workspace_id, v_parts[1 : cardinality(v_parts) - 1]
    );

    UPDATE roost.file_sync_state AS file
    SET parent_id = v_parent_id,
        name = v_parts[cardinality(v_parts)],
        deleted_at = NULL,
        sync_status = 'synced',
        updated_at = now(),
        updated_by = roost.current_user_id()
    WHERE file.id = v_file.id;

    RETURN roost.publish_file(v_file.id, 'file.restored', array_to_string(v_parts, '/'));
END;
$$;

ALTER FUNCTION api.restore_file(uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.restore_file(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.restore_file(uuid, text) TO roost_user;

COMMENT ON FUNCTION api.restore_file(uuid, text) IS
'Brings back a file that was deleted, or a folder with all that was in it, for 30 days after that.
Everybody in the workspace gets file.restored; what is there is answered as it is.

Callers: the owner of the workspace, and editors.
Arguments: file_id. path, where to, within the workspace; without it where it was. With it a
single file of a deleted folder can be brought back, too.
Returns: the file, an object as get_file answers it.
Errors: RO101, RO201 (no such file, or the folder that it was in is deleted), RO202 (role too
low), RO301 (something is there), RO302 (path), RO305 (too long ago), RO310 (a name there differs
in capitals alone).
Example: POST /rpc/restore_file {"file_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.get_file(
    file_id uuid DEFAULT NULL,
    workspace_id uuid DEFAULT NULL,
    path text DEFAULT NULL
)
RETURNS roost.file
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file_id uuid := get_file.file_id;
    v_file roost.file;
BEGIN
    IF (get_file.file_id IS NULL) <> (
        get_file.workspace_id IS NOT NULL AND get_file.path IS NOT NULL
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said which file.',
            HINT = 'Send file_id, or workspace_id and path.';
    ELSIF v_file_id IS NULL THEN
        PERFORM roost.require_workspace(get_file.workspace_id, 'viewer');
        v_file_id := (
            roost.find_file(get_file.workspace_id, roost.split_file_path(get_file.path))
        ).id;
    END IF;

    v_file := roost.require_file(v_file_id, false);

    IF v_file.kind = 'file' AND v_file.sync_status = 'synced' THEN
        v_file.sync_status := roost.upload_status(v_file.workspace_id, v_file.path);
    END IF;

    RETURN v_file;
END;
$$;

ALTER FUNCTION api.get_file(uuid, uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_file(uuid, uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_file(uuid, uuid, text) TO roost_user;

COMMENT ON FUNCTION api.get_file(uuid, uuid, text) IS
'Reads what is known of a file or folder; what is in it is at GET /content/<id>.

Callers: members of the workspace.
Arguments: file_id; or workspace_id and path.
Returns: an object: id, workspace_id, parent_id, kind, name, path, hash in base16, size,
media_type, modified_at, version, sync_status, metadata, change_seq, created_at, updated_at,
deleted_at, created_by, updated_by. hash and size of a folder are null, parent_id at the top of
the workspace. sync_status is synced; pending or syncing while something is on its way up to the
path; conflict while one about it is open; error when it is damaged.
Errors: RO101, RO201 (no such file or workspace, or not yours to see), RO302 (path, or it is not
said which), RO310 (a name there differs in capitals alone).
Example: POST /rpc/get_file {"workspace_id": "<id>", "path": "src/main.py"}';

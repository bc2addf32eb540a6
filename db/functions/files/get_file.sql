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
    v_file roost.file_sync_state;
BEGIN
    IF (get_file.file_id IS NULL) <> (
        get_file.workspace_id IS NOT NULL AND get_file.path IS NOT NULL
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said which file.',
            HINT = 'Send file_id, or workspace_id and path.';
    ELSIF get_file.file_id IS NOT NULL THEN
        RETURN roost.require_file(get_file.file_id, false);
    END IF;

    PERFORM roost.require_workspace(get_file.workspace_id, 'viewer');
    v_file := roost.find_file(get_file.workspace_id, roost.split_file_path(get_file.path));

    RETURN roost.require_file(v_file.id, false);
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
the workspace.
Errors: RO101, RO201 (no such file or workspace, or not yours to see), RO302 (path, or it is not
said which), RO310 (a name there differs in capitals alone).
Example: POST /rpc/get_file {"workspace_id": "<id>", "path": "src/main.py"}';

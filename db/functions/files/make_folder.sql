CREATE OR REPLACE FUNCTION api.make_folder(workspace_id uuid, path text)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_id uuid;
BEGIN
    PERFORM roost.lock_workspace(make_folder.workspace_id, 'editor');
    v_id := roost.make_folders(
        make_folder.workspace_id, roost.split_file_path(make_folder.path)
    );

    RETURN roost.require_file(v_id, false);
END;
$$;

ALTER FUNCTION api.make_folder(uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.make_folder(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.make_folder(uuid, text) TO roost_user;

COMMENT ON FUNCTION api.make_folder(uuid, text) IS
'Makes a folder, and those above it. Where it is there already it is answered as it is. Everybody
in the workspace gets file.created for each that is new.

Callers: the owner of the workspace, and editors.
Arguments: workspace_id. path, within the workspace, as for put_file_state.
Returns: the folder, an object as get_file answers it.
Errors: RO101, RO201 (not your workspace), RO202 (role too low), RO301 (a file is there), RO302
(path), RO310 (a name there differs in capitals alone).
Example: POST /rpc/make_folder {"workspace_id": "<id>", "path": "src/lib"}';

CREATE OR REPLACE FUNCTION api.get_workspace(workspace_id uuid)
RETURNS roost.workspace
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_workspace(get_workspace.workspace_id, 'viewer');

    RETURN roost.own_workspace(get_workspace.workspace_id);
END;
$$;

ALTER FUNCTION api.get_workspace(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_workspace(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_workspace(uuid) TO roost_user;

COMMENT ON FUNCTION api.get_workspace(uuid) IS
'Reads a workspace as list_workspaces lists it.

Callers: members of the workspace.
Arguments: workspace_id.
Returns: the workspace, an object, with the caller''s role.
Errors: RO101, RO201 (not your workspace, or deleted).
Example: POST /rpc/get_workspace {"workspace_id": "<id>"}';

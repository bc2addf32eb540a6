CREATE OR REPLACE FUNCTION api.delete_workspace(workspace_id uuid)
RETURNS roost.workspace
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace roost.workspace;
BEGIN
    -- Somebody who is being added meanwhile has come first, or finds nothing to be added to.
    PERFORM roost.lock_workspace(delete_workspace.workspace_id, 'owner');

    PERFORM roost.publish_workspace(
        delete_workspace.workspace_id, 'workspace.deleted', 'everybody'
    );
    v_workspace := roost.own_workspace(delete_workspace.workspace_id);

    -- A trigger of roost.workspace_members tells each of them.
    PERFORM roost.mark_workspace_deleted(delete_workspace.workspace_id);

    RETURN v_workspace;
END;
$$;

ALTER FUNCTION api.delete_workspace(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.delete_workspace(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.delete_workspace(uuid) TO roost_user;

COMMENT ON FUNCTION api.delete_workspace(uuid) IS
'Deletes a workspace for good: from that moment on nobody sees anything of it, live sockets
included. Everybody in it gets workspace.deleted, and workspace.removed in their inbox. Its id stays
used, its path is free. What was in it goes bit by bit.

Callers: the owner of the workspace.
Arguments: workspace_id.
Returns: the workspace as it was, an object.
Errors: RO101, RO201 (not your workspace, or deleted before), RO202 (role too low).
Example: POST /rpc/delete_workspace {"workspace_id": "<id>"}';

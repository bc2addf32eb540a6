CREATE OR REPLACE FUNCTION api.leave_workspace(workspace_id uuid)
RETURNS roost.workspace_member
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.lock_workspace(leave_workspace.workspace_id, 'viewer');
    PERFORM roost.require_workspace_member(leave_workspace.workspace_id, v_user_id);

    RETURN roost.end_workspace_membership(leave_workspace.workspace_id, v_user_id);
END;
$$;

ALTER FUNCTION api.leave_workspace(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.leave_workspace(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.leave_workspace(uuid) TO roost_user;

COMMENT ON FUNCTION api.leave_workspace(uuid) IS
'Leaves a workspace: from that moment on the caller sees nothing of it, and comes back only if its
owner adds them. Others in it get workspace_member.removed, the caller''s devices workspace.removed
in their inbox.

Callers: members of the workspace, but for the owner.
Arguments: workspace_id.
Returns: the member, an object, with left_at.
Errors: RO101, RO201 (not your workspace), RO204 (the owner stays: delete_workspace is for them).
Example: POST /rpc/leave_workspace {"workspace_id": "<id>"}';

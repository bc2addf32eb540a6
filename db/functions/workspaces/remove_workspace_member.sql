CREATE OR REPLACE FUNCTION api.remove_workspace_member(workspace_id uuid, user_id uuid)
RETURNS roost.workspace_member
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.lock_workspace(remove_workspace_member.workspace_id, 'owner');
    PERFORM roost.require_workspace_member(
        remove_workspace_member.workspace_id, remove_workspace_member.user_id
    );

    RETURN roost.end_workspace_membership(
        remove_workspace_member.workspace_id, remove_workspace_member.user_id
    );
END;
$$;

ALTER FUNCTION api.remove_workspace_member(uuid, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.remove_workspace_member(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.remove_workspace_member(uuid, uuid) TO roost_user;

COMMENT ON FUNCTION api.remove_workspace_member(uuid, uuid) IS
'Removes a person from a workspace: from that moment on they see nothing of it, live sockets
included. Everybody in it gets workspace_member.removed, the person workspace.removed in their
inbox.

Callers: the owner of the workspace.
Arguments: workspace_id. user_id, the person.
Returns: the member, an object, with left_at.
Errors: RO101, RO201 (not your workspace, or the person is not in it), RO202 (role too low), RO204
(the owner).
Example: POST /rpc/remove_workspace_member {"workspace_id": "<id>", "user_id": "<id>"}';

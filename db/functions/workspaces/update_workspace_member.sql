CREATE OR REPLACE FUNCTION api.update_workspace_member(
    workspace_id uuid,
    user_id uuid,
    role roost.workspace_role
)
RETURNS roost.workspace_member
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_member roost.workspace_members;
BEGIN
    PERFORM roost.lock_workspace(update_workspace_member.workspace_id, 'owner');
    PERFORM roost.require_workspace_role(update_workspace_member.role);

    v_member := roost.require_workspace_member(
        update_workspace_member.workspace_id, update_workspace_member.user_id
    );

    IF v_member.role = update_workspace_member.role THEN
        RETURN roost.describe_workspace_member(v_member);
    END IF;

    UPDATE roost.workspace_members AS member
    SET role = update_workspace_member.role
    WHERE member.workspace_id = update_workspace_member.workspace_id
        AND member.user_id = update_workspace_member.user_id;

    RETURN roost.publish_workspace_member(
        update_workspace_member.workspace_id, update_workspace_member.user_id,
        'workspace_member.updated'
    );
END;
$$;

ALTER FUNCTION api.update_workspace_member(uuid, uuid, roost.workspace_role) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.update_workspace_member(uuid, uuid, roost.workspace_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.update_workspace_member(uuid, uuid, roost.workspace_role)
TO roost_user;

COMMENT ON FUNCTION api.update_workspace_member(uuid, uuid, roost.workspace_role) IS
'Gives somebody in a workspace another role. Everybody in it gets workspace_member.updated. Giving
the role that they have changes nothing and answers the same.

Callers: the owner of the workspace.
Arguments: workspace_id. user_id, the person. role, viewer or editor.
Returns: the member, an object.
Errors: RO101, RO201 (not your workspace, or the person is not in it), RO202 (role too low), RO204
(the owner), RO302 (not a role to be given).
Example: POST /rpc/update_workspace_member {"workspace_id": "<id>", "user_id": "<id>", "role":
"editor"}';

CREATE OR REPLACE FUNCTION api.add_workspace_member(
    workspace_id uuid,
    user_id uuid,
    role roost.workspace_role DEFAULT 'viewer'
)
RETURNS roost.workspace_member
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_member roost.workspace_members;
    v_described roost.workspace_member;
BEGIN
    -- Two devices that add the same person at the same moment: the second waits here, and then
    -- finds the row of the first.
    PERFORM roost.lock_workspace(add_workspace_member.workspace_id, 'owner');
    PERFORM roost.require_workspace_role(add_workspace_member.role);
    PERFORM roost.require_active_users(ARRAY[add_workspace_member.user_id]);

    SELECT member.*
    INTO v_member
    FROM roost.workspace_members AS member
    WHERE member.workspace_id = add_workspace_member.workspace_id
        AND member.user_id = add_workspace_member.user_id
        AND member.left_at IS NULL;

    IF FOUND THEN
        IF v_member.role = add_workspace_member.role THEN
            RETURN roost.describe_workspace_member(v_member);
        END IF;

        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'This person is in the workspace already, in another role.',
            DETAIL = format('Role: %s', v_member.role),
            HINT = 'Leave it, or change the role with update_workspace_member.';
    END IF;

    INSERT INTO roost.workspace_members (workspace_id, user_id, role, added_by)
    VALUES (
        add_workspace_member.workspace_id,
        add_workspace_member.user_id,
        add_workspace_member.role,
        roost.current_user_id()
    )
    ON CONFLICT ON CONSTRAINT workspace_members_pkey
    DO UPDATE SET
        role = excluded.role,
        added_by = excluded.added_by,
        joined_at = now(),
        left_at = NULL;

    v_described := roost.publish_workspace_member(
        add_workspace_member.workspace_id, add_workspace_member.user_id, 'workspace_member.added'
    );
    PERFORM realtime.publish(
        format('user:%s', add_workspace_member.user_id),
        'workspace.added',
        json_build_object(
            'workspace_id', workspace.id,
            'name', workspace.name,
            'added_by', roost.current_user_id()
        ),
        p_grants_topic => format('workspace:%s', workspace.id),
        p_grants_after => v_described.change_seq - 1
    )
    FROM roost.workspaces AS workspace
    WHERE workspace.id = add_workspace_member.workspace_id;

    RETURN v_described;
END;
$$;

ALTER FUNCTION api.add_workspace_member(uuid, uuid, roost.workspace_role) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.add_workspace_member(uuid, uuid, roost.workspace_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.add_workspace_member(uuid, uuid, roost.workspace_role) TO roost_user;

COMMENT ON FUNCTION api.add_workspace_member(uuid, uuid, roost.workspace_role) IS
'Shares a workspace with a person. Others in it get workspace_member.added, the person
workspace.added in their inbox. Adding somebody again in the same role changes nothing and answers
the same.

Callers: the owner of the workspace.
Arguments: workspace_id. user_id, the person. role, viewer or editor.
Returns: the member, an object.
Errors: RO101, RO201 (not your workspace, or no such person), RO202 (role too low), RO301 (is in it
in another role), RO302 (not a role to be given).
Example: POST /rpc/add_workspace_member {"workspace_id": "<id>", "user_id": "<id>"}';

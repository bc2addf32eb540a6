-- Under the policies: the owner removes others, everybody else removes themselves.
CREATE OR REPLACE FUNCTION roost.end_workspace_membership(p_workspace_id uuid, p_user_id uuid)
RETURNS roost.workspace_member
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_described roost.workspace_member;
BEGIN
    UPDATE roost.workspace_members AS member
    SET left_at = now()
    WHERE member.workspace_id = p_workspace_id
        AND member.user_id = p_user_id
        AND member.left_at IS NULL;

    v_described := roost.publish_workspace_member(
        p_workspace_id, p_user_id, 'workspace_member.removed', p_user_id::text
    );
    PERFORM realtime.publish(
        format('user:%s', p_user_id),
        'workspace.removed',
        json_build_object('workspace_id', p_workspace_id)
    );

    RETURN v_described;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_workspace_membership(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.end_workspace_membership(uuid, uuid) TO roost_api;

COMMENT ON FUNCTION roost.end_workspace_membership(uuid, uuid) IS
'Ends somebody''s part in a workspace, tells those who are in it, and the person''s inbox, and
answers the member as they are then. To be called under roost.lock_workspace.';

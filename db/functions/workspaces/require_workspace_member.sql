CREATE OR REPLACE FUNCTION roost.require_workspace_member(p_workspace_id uuid, p_user_id uuid)
RETURNS roost.workspace_members
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_member roost.workspace_members;
BEGIN
    SELECT member.*
    INTO v_member
    FROM roost.workspace_members AS member
    WHERE member.workspace_id = p_workspace_id
        AND member.user_id = p_user_id
        AND member.left_at IS NULL;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'This person is not in the workspace.',
            DETAIL = format('Person: %s', coalesce(p_user_id::text, 'null')),
            HINT = 'Send the user id of somebody from list_workspace_members.';
    ELSIF v_member.role = 'owner' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO204',
            MESSAGE = 'The owner stays in the workspace, as its owner.',
            DETAIL = format('Workspace: %s', p_workspace_id),
            HINT = 'Delete the workspace with delete_workspace, or leave it as it is.';
    END IF;

    RETURN v_member;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_workspace_member(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_workspace_member(uuid, uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_workspace_member(uuid, uuid) IS
'Answers somebody who is in a workspace and is not its owner. To be called under
roost.lock_workspace. Errors: RO201 (the person is not in it, or not any more), RO204 (the owner).';

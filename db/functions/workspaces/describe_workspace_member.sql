-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_workspace_member(p_member roost.workspace_members)
RETURNS roost.workspace_member
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_member.workspace_id,
    p_member.user_id,
    p_member.role,
    p_member.added_by,
    p_member.change_seq,
    p_member.joined_at,
    p_member.left_at
)::roost.workspace_member;

REVOKE ALL ON FUNCTION roost.describe_workspace_member(roost.workspace_members) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_workspace_member(roost.workspace_members) TO roost_api;

COMMENT ON FUNCTION roost.describe_workspace_member(roost.workspace_members) IS
'A member of a workspace as clients get them: in lists, and in the events workspace_member.*.';

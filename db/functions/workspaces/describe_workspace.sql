-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_workspace(
    p_workspace roost.workspaces,
    p_member roost.workspace_members
)
RETURNS roost.workspace
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_workspace.id,
    p_workspace.user_id,
    p_workspace.name,
    p_workspace.path,
    p_workspace.settings::jsonb,
    p_member.role,
    greatest(p_workspace.change_seq, p_member.change_seq),
    p_workspace.last_accessed,
    p_workspace.created_at,
    p_workspace.updated_at
)::roost.workspace;

REVOKE ALL ON FUNCTION roost.describe_workspace(roost.workspaces, roost.workspace_members)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_workspace(roost.workspaces, roost.workspace_members)
TO roost_api;

COMMENT ON FUNCTION roost.describe_workspace(roost.workspaces, roost.workspace_members) IS
'A workspace as one of its members gets it. The role is a part of it, so change_seq is the newest of
both.';

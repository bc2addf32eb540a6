-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_shared_workspace(p_workspace roost.workspaces)
RETURNS roost.shared_workspace
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_workspace.id,
    p_workspace.user_id,
    p_workspace.name,
    p_workspace.path,
    p_workspace.settings::jsonb,
    p_workspace.change_seq,
    p_workspace.created_at,
    p_workspace.updated_at
)::roost.shared_workspace;

REVOKE ALL ON FUNCTION roost.describe_shared_workspace(roost.workspaces) FROM PUBLIC;

COMMENT ON FUNCTION roost.describe_shared_workspace(roost.workspaces) IS
'Of a workspace what is the same for everybody, which workspace.updated and workspace.deleted
carry.';

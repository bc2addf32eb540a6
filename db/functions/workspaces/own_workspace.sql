-- Runs as whoever asks: the policies decide what there is.
CREATE OR REPLACE FUNCTION roost.own_workspace(p_workspace_id uuid)
RETURNS roost.workspace
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (roost.describe_workspace(workspace, member)).*
    FROM roost.workspaces AS workspace
    JOIN roost.workspace_members AS member
        ON member.workspace_id = workspace.id
        AND member.user_id = (SELECT roost.current_user_id())
        AND member.left_at IS NULL
    WHERE workspace.id = p_workspace_id;
$$;

REVOKE ALL ON FUNCTION roost.own_workspace(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.own_workspace(uuid) TO roost_api;

COMMENT ON FUNCTION roost.own_workspace(uuid) IS
'A workspace as the caller gets it, NULL where they see none.';

-- Whoever changes a workspace, or who is in it, takes this lock first, then that of its topic, then
-- those of inboxes in the order of their people. Asked before the lock, so that an outsider waits
-- for nobody, and again behind it: whoever held it may have deleted the workspace, or the caller's
-- role. Runs as the owner, since people lock what they leave, and may not write.
CREATE OR REPLACE FUNCTION roost.lock_workspace(
    p_workspace_id uuid,
    p_least_role roost.workspace_role
)
RETURNS roost.workspace_role
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_workspace(p_workspace_id, p_least_role);

    PERFORM FROM roost.workspaces AS workspace
    WHERE workspace.id = p_workspace_id
    FOR NO KEY UPDATE;

    RETURN roost.require_workspace(p_workspace_id, p_least_role);
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_workspace(uuid, roost.workspace_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_workspace(uuid, roost.workspace_role) TO roost_api;

COMMENT ON FUNCTION roost.lock_workspace(uuid, roost.workspace_role) IS
'Locks a workspace to the end of the transaction, and answers the caller''s role. Raises as
roost.require_workspace does, before and after the wait.';

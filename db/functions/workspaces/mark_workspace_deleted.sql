-- Quick, however much is in the workspace. No folder has such a path, so that the same one can be
-- made anew at once. Runs as the owner: nobody else may take members out without a word.
CREATE OR REPLACE FUNCTION roost.mark_workspace_deleted(p_workspace_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE roost.workspaces AS workspace
    SET deleted_at = now(),
        path = format('deleted:%s', workspace.id),
        settings = '{}'
    WHERE workspace.id = p_workspace_id;

    DELETE FROM roost.workspace_members AS member
    WHERE member.workspace_id = p_workspace_id;

    SELECT roost.forget_operations_on(ARRAY[p_workspace_id]);
$$;

REVOKE ALL ON FUNCTION roost.mark_workspace_deleted(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.mark_workspace_deleted(uuid) TO roost_api;

COMMENT ON FUNCTION roost.mark_workspace_deleted(uuid) IS
'Takes everybody out of a workspace, frees its path, and leaves what is in it to
roost.purge_workspaces. To be called under roost.lock_workspace, by its owner.';

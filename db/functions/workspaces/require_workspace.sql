-- The one funnel of every access check of a workspace, for reading; who writes goes through
-- roost.lock_workspace, which asks this under the lock. An outsider learns no more than from an id
-- that does not exist.
CREATE OR REPLACE FUNCTION roost.require_workspace(
    p_workspace_id uuid,
    p_least_role roost.workspace_role
)
RETURNS roost.workspace_role
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_role roost.workspace_role;
BEGIN
    PERFORM roost.require_user();

    v_role := roost.own_workspace_role(p_workspace_id);

    IF v_role IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such workspace, or you are not in it.',
            DETAIL = format('Workspace: %s', coalesce(p_workspace_id::text, 'null')),
            HINT = 'Send the id of a workspace from list_workspaces.';
    ELSIF v_role < p_least_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'Your role in this workspace does not allow that.',
            DETAIL = format('Your role: %s; needed: %s', v_role, p_least_role),
            HINT = 'Ask the owner of the workspace.';
    END IF;

    RETURN v_role;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_workspace(uuid, roost.workspace_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_workspace(uuid, roost.workspace_role) TO roost_api;

COMMENT ON FUNCTION roost.require_workspace(uuid, roost.workspace_role) IS
'The caller''s role in a workspace. Raises RO101 for nobody, RO201 for an outsider, RO202 when the
role is below p_least_role.';

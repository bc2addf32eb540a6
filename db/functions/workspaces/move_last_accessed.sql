-- Runs as the owner, since whoever reads a workspace opens it.
CREATE OR REPLACE FUNCTION roost.move_last_accessed(p_workspace_id uuid)
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_least CONSTANT interval := interval '1 minute';
    v_last_accessed timestamptz;
BEGIN
    UPDATE roost.workspaces AS workspace
    SET last_accessed = now()
    WHERE workspace.id = p_workspace_id AND workspace.last_accessed <= now() - c_least;

    SELECT workspace.last_accessed
    INTO v_last_accessed
    FROM roost.workspaces AS workspace
    WHERE workspace.id = p_workspace_id;

    RETURN v_last_accessed;
END;
$$;

REVOKE ALL ON FUNCTION roost.move_last_accessed(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.move_last_accessed(uuid) TO roost_api;

COMMENT ON FUNCTION roost.move_last_accessed(uuid) IS
'Writes when a workspace was opened, at most once a minute, and answers what is there. The caller
has asked roost.require_workspace.';

CREATE OR REPLACE FUNCTION roost.require_writable(p_workspace_id uuid)
RETURNS uuid
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_owner_id uuid;
BEGIN
    PERFORM roost.require_workspace(p_workspace_id, 'editor');

    SELECT workspace.user_id
    INTO v_owner_id
    FROM roost.workspaces AS workspace
    WHERE workspace.id = p_workspace_id;

    RETURN v_owner_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_writable(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.require_writable(uuid) IS
'Whose storage it is that the caller writes to. Raises RO101, RO201 or RO202 where they may not.';

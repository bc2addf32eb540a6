CREATE OR REPLACE FUNCTION roost.require_workspace_role(p_role roost.workspace_role)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (p_role < 'owner') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This role can not be given.',
            DETAIL = format('role: %s', coalesce(p_role::text, 'null')),
            HINT = 'Send viewer or editor: a workspace has one owner.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_workspace_role(roost.workspace_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_workspace_role(roost.workspace_role) TO roost_api;

COMMENT ON FUNCTION roost.require_workspace_role(roost.workspace_role) IS
'Raises RO302 for a role that an owner can not give.';

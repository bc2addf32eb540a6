CREATE OR REPLACE FUNCTION roost.require_active_account(p_status roost.user_status)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_status <> 'active' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO103',
            MESSAGE = 'The account is not active.',
            DETAIL = format('Its state is %s.', p_status),
            HINT = 'Ask the operator of this server.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_active_account(roost.user_status) FROM PUBLIC;

COMMENT ON FUNCTION roost.require_active_account(roost.user_status) IS
'Raises RO103 for an account that is suspended or closed.';

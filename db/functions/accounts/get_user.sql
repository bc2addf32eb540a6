CREATE OR REPLACE FUNCTION roost.get_user(p_session_id uuid)
RETURNS roost.auth_user
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user roost.users;
BEGIN
    PERFORM roost.begin_call('user', p_session_id);

    SELECT account.*
    INTO STRICT v_user
    FROM roost.users AS account
    WHERE account.id = roost.current_user_id();

    RETURN roost.describe_auth_user(v_user);
END;
$$;

REVOKE ALL ON FUNCTION roost.get_user(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_user(uuid) TO roost_gateway;

COMMENT ON FUNCTION roost.get_user(uuid) IS
'The person of a living session, as the auth endpoints show them. Errors: RO102, RO103.';

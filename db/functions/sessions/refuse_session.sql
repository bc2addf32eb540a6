-- Says why a session is not accepted. Apart from begin_call, so that the path of every call is
-- short.
CREATE OR REPLACE FUNCTION roost.refuse_session(p_session_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_status roost.user_status;
BEGIN
    SELECT account.status
    INTO v_status
    FROM roost.sessions AS session
    JOIN roost.users AS account ON account.id = session.user_id
    WHERE session.id = p_session_id;

    -- NULL, for a session that never was, passes.
    PERFORM roost.require_active_account(v_status);

    RAISE EXCEPTION USING
        ERRCODE = 'RO102',
        MESSAGE = 'The session is over.',
        DETAIL = 'It was ended, has expired or never existed.',
        HINT = 'Sign in again.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_session(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.refuse_session(uuid) IS
'Raises RO103 when the account of a session is not active, RO102 otherwise.';

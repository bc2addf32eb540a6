-- The first statement of every call that the server makes. Sets the caller's identity for this
-- transaction and answers the role that the server is then to take:
--     SELECT set_config('role', roost.begin_call('user', <session id>), true)
-- The role can't be set in here, since PostgreSQL forbids that to SECURITY DEFINER functions.
-- Reading the session in the transaction of the call is what makes revoking work at once. It takes
-- no lock: a call that began before the revocation committed may still finish.
CREATE OR REPLACE FUNCTION roost.begin_call(p_role text, p_session_id uuid)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE p_role
        WHEN 'user' THEN
            PERFORM
                set_config('roost.session_id', session.id::text, true),
                set_config('roost.user_id', session.user_id::text, true),
                set_config('roost.device_id', session.device_id::text, true)
            FROM roost.sessions AS session
            WHERE session.id = p_session_id
                AND session.revoked_at IS NULL
                AND session.expires_at > now();

            IF NOT FOUND THEN
                PERFORM roost.refuse_session(p_session_id);
            END IF;

            RETURN 'roost_user';
        WHEN 'anon' THEN
            RETURN 'roost_anon';
        WHEN 'service' THEN
            RETURN 'roost_service';
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = 'case_not_found',
                MESSAGE = 'There is no such kind of caller.',
                DETAIL = format('Kind: %s', coalesce(p_role, 'null')),
                HINT = 'Ask for anon, user or service.';
    END CASE;
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_call(text, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_call(text, uuid) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_call(text, uuid) IS
'Checks the session, sets the caller''s identity for this transaction and answers the role to take.
p_role is anon, user or service; p_session_id is read for user only. Errors: RO102, RO103.';

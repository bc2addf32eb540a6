CREATE OR REPLACE FUNCTION api.revoke_session(session_id uuid)
RETURNS roost.session
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_session roost.session;
BEGIN
    UPDATE roost.sessions AS session
    SET revoked_at = coalesce(session.revoked_at, now())
    WHERE session.id = revoke_session.session_id AND session.user_id = v_user_id
    RETURNING
        session.id,
        session.device_id,
        session.user_agent,
        session.id = roost.current_session_id(),
        session.last_activity,
        session.expires_at,
        session.created_at,
        session.revoked_at
    INTO v_session;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such session.',
            DETAIL = format('Session: %s', coalesce(revoke_session.session_id::text, 'null')),
            HINT = 'Send the id of a session from list_sessions.';
    END IF;

    RETURN v_session;
END;
$$;

ALTER FUNCTION api.revoke_session(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.revoke_session(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.revoke_session(uuid) TO roost_user;

COMMENT ON FUNCTION api.revoke_session(uuid) IS
'Ends one of the caller''s sessions and closes its sockets. Ending one that is over changes nothing.

Callers: signed-in people.
Arguments: session_id, from list_sessions; the calling session may be named too.
Returns: the session, an object.
Errors: RO101, RO201 (not your session).
Example: POST /rpc/revoke_session {"session_id": "<id>"}';

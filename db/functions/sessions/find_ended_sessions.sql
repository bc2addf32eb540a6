-- The server asks this now and then about the sessions of its open sockets: the notification that a
-- session has ended can get lost, as when a server dies between the commit and the notification.
CREATE OR REPLACE FUNCTION roost.find_ended_sessions(p_session_ids uuid[])
RETURNS SETOF uuid
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT asked.id
    FROM unnest(p_session_ids) AS asked (id)
    WHERE NOT EXISTS (
        SELECT FROM roost.sessions AS session
        WHERE session.id = asked.id
            AND session.revoked_at IS NULL
            AND session.expires_at > now()
    );
$$;

REVOKE ALL ON FUNCTION roost.find_ended_sessions(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_ended_sessions(uuid[]) TO roost_gateway;

COMMENT ON FUNCTION roost.find_ended_sessions(uuid[]) IS
'Which of these sessions are over: ended, expired or unknown. For the gateway alone.';

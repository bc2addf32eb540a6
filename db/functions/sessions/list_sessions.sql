CREATE OR REPLACE FUNCTION api.list_sessions(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.session
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_sessions.page_size);

    RETURN QUERY
    SELECT
        session.id,
        session.device_id,
        session.user_agent,
        session.id = roost.current_session_id(),
        session.last_activity,
        session.expires_at,
        session.created_at,
        session.revoked_at
    FROM roost.sessions AS session
    WHERE session.user_id = v_user_id
        AND session.revoked_at IS NULL
        AND session.expires_at > now()
        AND (list_sessions.before_id IS NULL OR session.id < list_sessions.before_id)
    ORDER BY session.id DESC
    LIMIT list_sessions.page_size;
END;
$$;

ALTER FUNCTION api.list_sessions(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_sessions(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_sessions(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_sessions(integer, uuid) IS
'Lists the caller''s living sessions, newest first; current marks the one that asks.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of sessions.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_sessions {}';

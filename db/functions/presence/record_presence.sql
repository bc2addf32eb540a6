-- One call for all that has changed on a server in a second. The server makes no second one before
-- the first is answered, so between two statements here nobody changes its rows but
-- roost.forget_servers, which waits for the server's row, or has it: then this call does nothing.
-- Planned for the arrays at hand, which have one element or thousands: a plan for any would compare
-- each with each.
CREATE OR REPLACE FUNCTION roost.record_presence(
    p_server_id uuid,
    p_session_ids uuid[],
    p_are_connected boolean[],
    p_seconds_ago double precision[]
)
RETURNS uuid[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    v_moved_ids uuid[];
    v_session_ids uuid[];
    v_device_ids uuid[];
    v_user_ids uuid[];
    v_are_connected boolean[];
    v_seconds_ago double precision[];
BEGIN
    PERFORM
    FROM roost.servers AS server
    WHERE server.id = p_server_id
    FOR KEY SHARE;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    -- Who comes or goes. Those who were only seen cost no lock of a person and no merging.
    v_moved_ids := ARRAY(
        SELECT DISTINCT session.user_id
        FROM unnest(p_session_ids, p_are_connected) AS said (session_id, is_connected)
        JOIN roost.sessions AS session ON session.id = said.session_id
        LEFT JOIN roost.device_connections AS connection
            ON connection.server_id = p_server_id
            AND connection.session_id = session.id
            -- The same once more, here and below, so that it goes by the index.
            AND connection.session_id = ANY(p_session_ids)
        WHERE session.id = ANY(p_session_ids)
            AND said.is_connected <> (connection.session_id IS NOT NULL)
    );

    PERFORM roost.lock_presence(v_moved_ids);

    DELETE FROM roost.device_connections AS connection
    USING unnest(p_session_ids, p_are_connected) AS said (session_id, is_connected)
    WHERE connection.server_id = p_server_id
        AND connection.session_id = said.session_id
        AND NOT said.is_connected;

    -- As the foreign key will, but without waiting: register_device has devices locked when it
    -- comes to their presence, and a device that somebody holds must not hold up all others. It is
    -- for the next batch.
    SELECT
        array_agg(free.session_id),
        array_agg(free.device_id),
        array_agg(free.user_id),
        array_agg(free.is_connected),
        array_agg(free.seconds_ago)
    INTO v_session_ids, v_device_ids, v_user_ids, v_are_connected, v_seconds_ago
    FROM (
        SELECT
            session.id AS session_id,
            session.device_id,
            session.user_id,
            said.is_connected,
            said.seconds_ago
        FROM unnest(p_session_ids, p_are_connected, p_seconds_ago)
            AS said (session_id, is_connected, seconds_ago)
        JOIN roost.sessions AS session ON session.id = said.session_id
        JOIN roost.devices AS device ON device.id = session.device_id
        WHERE session.id = ANY(p_session_ids)
        FOR KEY SHARE OF device SKIP LOCKED
    ) AS free;

    -- In the order of ids: a device may be on two servers, which write at the same time.
    INSERT INTO roost.device_presence AS presence (device_id, user_id, last_seen)
    SELECT
        free.device_id,
        free.user_id,
        now() - make_interval(secs => min(free.seconds_ago))
    FROM unnest(v_device_ids, v_user_ids, v_seconds_ago) AS free (device_id, user_id, seconds_ago)
    GROUP BY free.device_id, free.user_id
    ORDER BY free.device_id
    ON CONFLICT ON CONSTRAINT device_presence_pkey DO UPDATE
    SET last_seen = excluded.last_seen
    WHERE presence.last_seen < excluded.last_seen;

    INSERT INTO roost.device_connections (server_id, session_id, user_id)
    SELECT p_server_id, free.session_id, free.user_id
    FROM unnest(v_session_ids, v_user_ids, v_are_connected)
        AS free (session_id, user_id, is_connected)
    WHERE free.is_connected
    ON CONFLICT ON CONSTRAINT device_connections_pkey DO NOTHING;

    PERFORM roost.announce_presence(v_moved_ids);

    RETURN ARRAY(
        SELECT session.id
        FROM (
            SELECT unnest(p_session_ids)
            EXCEPT
            SELECT unnest(v_session_ids)
        ) AS held (session_id)
        JOIN roost.sessions AS session ON session.id = held.session_id
        WHERE session.id = ANY(p_session_ids)
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.record_presence(
    uuid, uuid[], boolean[], double precision[]
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.record_presence(
    uuid, uuid[], boolean[], double precision[]
) TO roost_gateway;

COMMENT ON FUNCTION roost.record_presence(uuid, uuid[], boolean[], double precision[]) IS
'Takes down for sessions whether they have a socket on a server and how many seconds ago something
came over it, and tells of people whose presence changes with it. Answers the sessions that are to
be recorded again, since somebody holds their devices; NULL when the server is unknown, which then
has to beat and to record everything.';

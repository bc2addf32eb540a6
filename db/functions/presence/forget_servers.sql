-- Readers know by themselves that a server no longer beats; this is what tells those who listen. In
-- pieces, since a server may have had any number of sockets.
CREATE OR REPLACE FUNCTION roost.forget_servers(p_server_id uuid, p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_server_ids uuid[];
    v_session_ids uuid[];
    v_user_ids uuid[];
BEGIN
    UPDATE roost.servers AS server
    SET beat_at = '-infinity'
    WHERE server.id = p_server_id;

    -- Several servers do this at the same time: each takes the dead ones that no other one has. A
    -- dead one that comes back to life waits, finds no row, and begins anew (roost.beat).
    v_server_ids := ARRAY(
        SELECT server.id
        FROM roost.servers AS server
        WHERE NOT EXISTS (
            SELECT FROM roost.living_servers AS living WHERE living.id = server.id
        )
        ORDER BY server.id
        FOR UPDATE SKIP LOCKED
    );

    SELECT array_agg(gone.session_id), array_agg(DISTINCT gone.user_id)
    INTO v_session_ids, v_user_ids
    FROM (
        SELECT connection.session_id, connection.user_id
        FROM roost.device_connections AS connection
        WHERE connection.server_id = ANY(v_server_ids)
        ORDER BY connection.server_id, connection.session_id
        LIMIT p_limit
    ) AS gone;

    PERFORM roost.lock_presence(v_user_ids);

    DELETE FROM roost.device_connections AS connection
    WHERE connection.server_id = ANY(v_server_ids)
        AND connection.session_id = ANY(v_session_ids);

    PERFORM roost.announce_presence(v_user_ids);

    -- What clients tracked through them goes with them.
    DELETE FROM roost.servers AS server
    WHERE server.id = ANY(v_server_ids)
        AND NOT EXISTS (
            SELECT
            FROM roost.device_connections AS connection
            WHERE connection.server_id = server.id
        );

    IF FOUND THEN
        PERFORM realtime.wake('!presence');
    END IF;

    RETURN (
        SELECT count(*)
        FROM (
            SELECT
            FROM roost.device_connections AS connection
            WHERE connection.server_id = ANY(v_server_ids)
            LIMIT p_limit
        ) AS left_over
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_servers(uuid, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.forget_servers(uuid, integer) TO roost_gateway;

COMMENT ON FUNCTION roost.forget_servers(uuid, integer) IS
'Removes the sockets of servers that have given no sign of life for 30 seconds, and of p_server_id,
which stops (NULL for none), p_limit at most; then the servers. Tells of people who are offline with
it. Answers 0 when none is left, else how many there are for the next call, up to p_limit.';

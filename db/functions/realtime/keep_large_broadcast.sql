-- An ephemeral event that fits in no notification: the other servers are told its id, and read it.
CREATE OR REPLACE FUNCTION realtime.keep_large_broadcast(
    p_topic text,
    p_event text,
    p_payload json,
    p_raw bytea DEFAULT NULL
)
RETURNS uuid
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO realtime.large_broadcasts (topic, event, payload, raw)
    VALUES (p_topic, p_event, p_payload, p_raw)
    RETURNING large_broadcasts.id;
$$;

REVOKE ALL ON FUNCTION realtime.keep_large_broadcast(text, text, json, bytea) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.keep_large_broadcast(text, text, json, bytea) TO roost_gateway;

COMMENT ON FUNCTION realtime.keep_large_broadcast(text, text, json, bytea) IS
'Keeps an ephemeral event for a minute and answers the id for realtime.read_large_broadcast. Either
p_payload or p_raw is given. It reaches nobody by itself: a line "~topic", event and "@id" with tabs
between them does that.';

CREATE OR REPLACE FUNCTION realtime.read_large_broadcast(p_id uuid)
RETURNS TABLE (topic text, event text, payload json, raw bytea)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT kept.topic, kept.event, kept.payload, kept.raw
    FROM realtime.large_broadcasts AS kept
    WHERE kept.id = p_id;
$$;

REVOKE ALL ON FUNCTION realtime.read_large_broadcast(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_large_broadcast(uuid) TO roost_gateway;

COMMENT ON FUNCTION realtime.read_large_broadcast(uuid) IS
'An ephemeral event that realtime.keep_large_broadcast keeps; no row once it is forgotten. Either
payload or raw is filled. For the gateway, which knows who is live in the topic.';

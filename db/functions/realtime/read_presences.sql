CREATE OR REPLACE FUNCTION realtime.read_presences(p_server_id uuid, p_topics text[])
RETURNS TABLE (topic text, reference text, key text, meta json)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT presence.topic, presence.reference, presence.key, presence.meta
    FROM realtime.presences AS presence
    JOIN roost.living_servers AS server ON server.id = presence.server_id
    WHERE presence.topic = ANY(p_topics) AND presence.server_id <> p_server_id;
END;
$$;

REVOKE ALL ON FUNCTION realtime.read_presences(uuid, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_presences(uuid, text[]) TO roost_gateway;

COMMENT ON FUNCTION realtime.read_presences(uuid, text[]) IS
'Who is present in topics through living servers other than p_server_id, which knows its own. For
the gateway, which has asked join_topic for whoever it passes them on to.';

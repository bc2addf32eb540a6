-- One query for all topics that have something new: a walk down the primary key for each. Offsets
-- are in commit order, so a snapshot that sees an offset sees all before it.
CREATE OR REPLACE FUNCTION realtime.read_events(
    p_topics text[],
    p_afters bigint[],
    p_limit integer
)
RETURNS TABLE (topic text, event_offset bigint, id uuid, event text, payload json, epoch text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- PL/pgSQL keeps the plan; a function in SQL would be planned on every call before version 18.
    RETURN QUERY
    SELECT
        asked.topic,
        found.event_offset,
        found.id,
        found.event,
        found.payload,
        (SELECT log.epoch FROM realtime.log AS log)
    FROM unnest(p_topics, p_afters) AS asked (topic, after)
    CROSS JOIN LATERAL (
        SELECT
            stored.event_offset,
            stored.id,
            stored.event,
            stored.payload
        FROM realtime.events AS stored
        WHERE stored.topic = asked.topic AND stored.event_offset > asked.after
        ORDER BY stored.event_offset
        LIMIT p_limit
    ) AS found
    ORDER BY asked.topic, found.event_offset;
END;
$$;

REVOKE ALL ON FUNCTION realtime.read_events(text[], bigint[], integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_events(text[], bigint[], integer) TO roost_gateway;

COMMENT ON FUNCTION realtime.read_events(text[], bigint[], integer) IS
'For each topic, up to p_limit events after an offset, in order. For the gateway, which has asked
join_topic before it passes them on.';

-- One query for all topics that have something new: a walk down the primary key for each. Offsets
-- are in commit order, so a snapshot that sees an offset sees all before it. An event is left out
-- when those before it on its page have p_bytes: a page has at least one, whatever its size.
CREATE OR REPLACE FUNCTION realtime.read_events(
    p_topics text[],
    p_afters bigint[],
    p_limit integer,
    p_bytes integer DEFAULT 1048576
)
RETURNS TABLE (
    topic text,
    event_offset bigint,
    id uuid,
    event text,
    payload json,
    epoch text,
    about_offset bigint,
    revokes text,
    grants_topic text,
    grants_after bigint,
    age double precision
)
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
        page.event_offset,
        page.id,
        page.event,
        page.payload,
        (SELECT log.epoch FROM realtime.log AS log),
        page.about_offset,
        page.revokes,
        page.grants_topic,
        page.grants_after,
        extract(EPOCH FROM clock_timestamp() - page.written_at)::double precision
    FROM unnest(p_topics, p_afters) AS asked (topic, after)
    CROSS JOIN LATERAL (
        SELECT
            listed.*,
            sum(octet_length(listed.payload::text)) OVER (
                ORDER BY listed.event_offset
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM (
            SELECT
                stored.event_offset,
                stored.id,
                stored.event,
                stored.payload,
                stored.about_offset,
                stored.revokes,
                stored.grants_topic,
                stored.grants_after,
                stored.written_at
            FROM realtime.events AS stored
            WHERE stored.topic = asked.topic AND stored.event_offset > asked.after
            ORDER BY stored.event_offset
            LIMIT p_limit
        ) AS listed
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < p_bytes
    ORDER BY asked.topic, page.event_offset;
END;
$$;

REVOKE ALL ON FUNCTION realtime.read_events(text[], bigint[], integer, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_events(text[], bigint[], integer, integer)
TO roost_gateway;

COMMENT ON FUNCTION realtime.read_events(text[], bigint[], integer, integer) IS
'For each topic, up to p_limit events after an offset, in order. A topic''s page ends early when its
payloads reach p_bytes, so a page below p_limit need not be the last: compare with the topic''s
newest offset. age is how many seconds ago an event was written, by the database''s clock. For the
gateway, which has asked join_topic before it passes them on.';

-- Each topic is decided once, however many events are for it.
CREATE OR REPLACE FUNCTION realtime.ask_broadcasts(p_topics text[], p_events text[])
RETURNS TABLE (is_allowed boolean, is_reserved boolean)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_user();

    RETURN QUERY
    WITH decided AS MATERIALIZED (
        SELECT asked.topic, realtime.can_broadcast(asked.topic) AS is_allowed
        FROM (SELECT DISTINCT listed.topic FROM unnest(p_topics) AS listed (topic)) AS asked
    )
    SELECT decided.is_allowed, realtime.is_reserved_event(asked.topic, asked.event)
    FROM unnest(p_topics, p_events) WITH ORDINALITY AS asked (topic, event, place)
    JOIN decided ON decided.topic = asked.topic
    ORDER BY asked.place;
END;
$$;

REVOKE ALL ON FUNCTION realtime.ask_broadcasts(text[], text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.ask_broadcasts(text[], text[]) TO roost_user;

COMMENT ON FUNCTION realtime.ask_broadcasts(text[], text[]) IS
'Decides broadcasts of clients. Answers for each, in the order asked, whether the caller may
broadcast in the topic, and whether the event''s name is the server''s own. The two lists are of one
length. Errors: RO101.';

-- PL/pgSQL keeps the plan; a function in SQL would be planned on every call before version 18.
CREATE OR REPLACE FUNCTION realtime.has_event(p_topic text, p_offset bigint)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM realtime.events AS event
        WHERE event.topic = p_topic AND event.event_offset = p_offset
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.has_event(text, bigint) FROM PUBLIC;

COMMENT ON FUNCTION realtime.has_event(text, bigint) IS
'Whether the log still has an event.';

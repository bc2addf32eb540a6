-- NULL-safe, as realtime.can_join is. Of Roost's own topics only its functions write the log.
CREATE OR REPLACE FUNCTION realtime.can_publish(p_topic text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN realtime.is_permitted(p_topic, 'publish');
END;
$$;

REVOKE ALL ON FUNCTION realtime.can_publish(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.can_publish(text) TO roost_api;

COMMENT ON FUNCTION realtime.can_publish(text) IS
'Whether the caller may publish to a topic: an application topic whose rule says so.';

CREATE OR REPLACE FUNCTION realtime.unregister_topic_prefix(p_prefix text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM realtime.topic_prefixes AS prefix WHERE prefix.prefix = p_prefix;

    RETURN FOUND;
END;
$$;

REVOKE ALL ON FUNCTION realtime.unregister_topic_prefix(text) FROM PUBLIC;

COMMENT ON FUNCTION realtime.unregister_topic_prefix(text) IS
'From now on nobody may join, publish to or broadcast to topics of this prefix; answers whether it
was registered. Events that are there stay, and so do channels that have been joined: an event that
revokes everybody ends those of a topic. For roost_owner.';

CREATE OR REPLACE FUNCTION realtime.last_offset(p_topic text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint;
BEGIN
    IF p_topic LIKE 'conversation:%' THEN
        SELECT conversation.last_seq
        INTO v_offset
        FROM roost.conversations AS conversation
        WHERE conversation.id = substr(p_topic, 14)::uuid;
    ELSE
        SELECT topic.last_offset
        INTO v_offset
        FROM realtime.topics AS topic
        WHERE topic.topic = p_topic;
    END IF;

    RETURN coalesce(v_offset, 0);
END;
$$;

REVOKE ALL ON FUNCTION realtime.last_offset(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.last_offset(text) TO roost_api;

COMMENT ON FUNCTION realtime.last_offset(text) IS
'Offset of a topic''s newest event; 0 before the first.';

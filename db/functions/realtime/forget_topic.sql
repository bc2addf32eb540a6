CREATE OR REPLACE FUNCTION realtime.forget_topic(p_topic text, p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_deleted bigint;
BEGIN
    -- Who publishes waits: an offset must not be given out while the count of them is forgotten.
    PERFORM FROM realtime.topics AS topic WHERE topic.topic = p_topic FOR UPDATE;

    DELETE FROM realtime.events AS event
    WHERE event.topic = p_topic
        AND event.event_offset = ANY (ARRAY(
            SELECT oldest.event_offset
            FROM realtime.events AS oldest
            WHERE oldest.topic = p_topic
            ORDER BY oldest.event_offset
            LIMIT p_limit
        ));
    GET DIAGNOSTICS v_deleted = ROW_COUNT;

    -- There were no more.
    IF v_deleted < p_limit THEN
        DELETE FROM realtime.topics AS topic WHERE topic.topic = p_topic;

        DELETE FROM roost.device_cursors AS cursor WHERE cursor.topic = p_topic;
    END IF;

    RETURN v_deleted;
END;
$$;

REVOKE ALL ON FUNCTION realtime.forget_topic(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION realtime.forget_topic(text, integer) IS
'Deletes the oldest events of a topic, up to p_limit, and answers how many. When that is p_limit,
call it again; when it is less, none is left, and the topic has gone too.';

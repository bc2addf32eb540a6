-- All that it asks is of one snapshot. The right that it grants is thus that of the offset that it
-- answers: an event that ends the right and is not known here has a later one.
CREATE OR REPLACE FUNCTION realtime.join_topic(
    p_topic text,
    p_after bigint DEFAULT NULL,
    p_epoch text DEFAULT NULL
)
RETURNS TABLE (last_offset bigint, epoch text, visible_after bigint)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_user();

    IF NOT realtime.can_join(p_topic) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'You may not join this topic.',
            DETAIL = format('Topic: %s', p_topic),
            HINT = 'Join conversation:<id> of a conversation that you take part in, user:<your id>'
                ' or device:<id> of a device of yours.';
    END IF;

    last_offset := realtime.last_offset(p_topic);
    SELECT log.epoch INTO STRICT epoch FROM realtime.log AS log;
    visible_after := 0;

    IF p_topic LIKE 'conversation:%' THEN
        SELECT participant.history_after_seq
        INTO STRICT visible_after
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = substr(p_topic, 14)::uuid
            AND participant.user_id = roost.current_user_id();
    END IF;

    IF p_after IS NOT NULL THEN
        IF p_epoch IS NOT NULL AND p_epoch <> epoch THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO403',
                MESSAGE = 'The event log was replaced since this offset was given out.',
                DETAIL = format('Epoch now: %s', epoch),
                HINT = 'Read the state again, then join without an offset.';
        ELSIF p_after < 0 OR p_after > last_offset THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO402',
                MESSAGE = 'The topic has no such offset.',
                DETAIL = format('Offset asked for: %s; newest: %s', p_after, last_offset),
                HINT = 'Send the offset of the last event that you received, or 0 for all.';
        ELSIF p_after < visible_after AND p_after < last_offset THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO403',
                MESSAGE = 'Events after this offset are from before you were added.',
                DETAIL = format(
                    'Offset asked for: %s; you see what comes after: %s', p_after, visible_after
                ),
                HINT = 'Read the state again, then join without an offset.';
        ELSIF p_after < last_offset AND NOT EXISTS (
            SELECT FROM realtime.events AS event
            WHERE event.topic = p_topic AND event.event_offset = p_after + 1
        ) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO403',
                MESSAGE = 'Events after this offset are gone.',
                DETAIL = format('Offset asked for: %s; newest: %s', p_after, last_offset),
                HINT = 'Read the state again, then join without an offset.';
        END IF;
    END IF;

    RETURN NEXT;
END;
$$;

REVOKE ALL ON FUNCTION realtime.join_topic(text, bigint, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.join_topic(text, bigint, text) TO roost_user;

COMMENT ON FUNCTION realtime.join_topic(text, bigint, text) IS
'Decides a join: answers the topic''s newest offset, the log''s epoch, and the offset up to which
the caller may see nothing, 0 where they may see all. p_after is the last offset that the client
has, p_epoch the epoch that it had it from. Errors: RO101, RO401, RO402 (no such offset), RO403
(must refetch).';

-- All that it asks is of one snapshot. The right that it grants is thus that of the offset that it
-- answers: an event that ends the right and is not known here has a later one. For an inbox this
-- holds for everything that is heard in it: a topic that is not listed here is granted by an event
-- of the inbox behind last_offset.
CREATE OR REPLACE FUNCTION realtime.join_topic(
    p_topic text,
    p_after bigint DEFAULT NULL,
    p_epoch text DEFAULT NULL,
    p_positions jsonb DEFAULT NULL,
    p_since timestamptz DEFAULT NULL,
    p_limit integer DEFAULT NULL,
    p_acknowledged boolean DEFAULT false,
    p_resume text DEFAULT NULL
)
RETURNS TABLE (
    topic text,
    last_offset bigint,
    epoch text,
    visible_after bigint,
    replay_after bigint,
    is_gone boolean,
    subscriptions json,
    resume text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_epoch text;
    v_after bigint := coalesce(p_after, (p_positions ->> p_topic)::bigint);
    v_asked_epoch text := p_epoch;
    v_positions jsonb := p_positions;
    v_snapshot pg_snapshot := realtime.read_snapshot_token(p_resume);
BEGIN
    IF NOT realtime.can_join(p_topic) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'You may not join this topic.',
            DETAIL = format('Topic: %s', p_topic),
            HINT = 'Join conversation:<id> of a conversation that you take part in, workspace:<id>'
                ' of a workspace that you are in, user:<your id> or device:<id> of the device that'
                ' you call from.';
    END IF;

    SELECT log.epoch INTO STRICT v_epoch FROM realtime.log AS log;

    topic := p_topic;
    last_offset := realtime.last_offset(p_topic);
    epoch := v_epoch;
    visible_after := 0;
    is_gone := false;
    subscriptions := realtime.get_subscriptions();

    IF p_topic LIKE 'conversation:%' THEN
        SELECT participant.history_after_seq
        INTO STRICT visible_after
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = substr(p_topic, 14)::uuid
            AND participant.user_id = v_user_id;
    END IF;

    -- Of the device: an offset of another log is as good as none.
    IF p_acknowledged THEN
        SELECT cursor.acknowledged, cursor.epoch, cursor.heard_since
        INTO v_after, v_asked_epoch, v_snapshot
        FROM roost.device_cursors AS cursor
        WHERE cursor.device_id = roost.current_device_id() AND cursor.topic = p_topic;

        IF p_topic LIKE 'user:%' THEN
            SELECT jsonb_object_agg(cursor.topic, cursor.acknowledged)
            INTO v_positions
            FROM roost.device_cursors AS cursor
            WHERE cursor.device_id = roost.current_device_id()
                AND cursor.topic <> p_topic
                AND cursor.acknowledged IS NOT NULL
                AND cursor.epoch = v_epoch;
        END IF;
    END IF;

    -- A token from the future is of another server, from which the log was restored into this one.
    IF (
        coalesce(v_after::text, v_positions::text, v_snapshot::text) IS NOT NULL
        AND v_asked_epoch <> v_epoch
    ) OR pg_snapshot_xmax(v_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO403',
            MESSAGE = 'The event log was replaced since this offset was given out.',
            DETAIL = format('Epoch now: %s', v_epoch),
            HINT = 'Read the state again, then join without an offset.';
    END IF;

    IF v_after IS NULL AND v_snapshot IS NOT NULL THEN
        -- Of a topic in which nothing has come since, all may be gone by now.
        v_after := CASE
            WHEN EXISTS (
                SELECT FROM realtime.topics AS counted
                WHERE counted.topic = p_topic
                    AND realtime.is_in_snapshot(counted.xmin, v_snapshot)
            )
                THEN last_offset
            ELSE greatest(realtime.offset_in_snapshot(p_topic, v_snapshot), visible_after)
        END;
    END IF;

    replay_after := v_after;

    IF v_after < 0 OR v_after > last_offset THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO402',
            MESSAGE = 'The topic has no such offset.',
            DETAIL = format('Offset asked for: %s; newest: %s', v_after, last_offset),
            HINT = 'Send the offset of the last event that you received, or 0 for all.';
    ELSIF v_after < visible_after AND v_after < last_offset THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO403',
            MESSAGE = 'Events after this offset are from before you were added.',
            DETAIL = format(
                'Offset asked for: %s; you see what comes after: %s', v_after, visible_after
            ),
            HINT = 'Read the state again, then join without an offset.';
    ELSIF v_after < last_offset AND NOT realtime.has_event(p_topic, v_after + 1) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO403',
            MESSAGE = 'Events after this offset are gone.',
            DETAIL = format('Offset asked for: %s; newest: %s', v_after, last_offset),
            HINT = 'Read the state again, then join without an offset.';
    END IF;

    IF v_after IS NULL AND p_since IS NOT NULL THEN
        -- Times are of the beginning of a transaction, so not in the order of offsets: the first
        -- of the newest p_limit that is not older, and all behind it.
        SELECT CASE WHEN count(*) > 0 THEN greatest(min(newest.event_offset) - 1, visible_after) END
        INTO replay_after
        FROM (
            SELECT event.event_offset, event.created_at
            FROM realtime.events AS event
            WHERE event.topic = p_topic
            ORDER BY event.event_offset DESC
            LIMIT p_limit
        ) AS newest
        WHERE newest.created_at >= p_since;
    END IF;

    resume := CASE WHEN p_topic LIKE 'user:%' THEN realtime.snapshot_token() END;

    RETURN NEXT;

    IF p_topic LIKE 'user:%' THEN
        RETURN QUERY
        SELECT
            found.topic,
            found.last_offset,
            v_epoch,
            found.visible_after,
            found.replay_after,
            found.is_gone,
            NULL::json,
            NULL::text
        FROM realtime.list_inner_topics(p_topic, v_after, v_positions, v_snapshot) AS found;
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION realtime.join_topic(
    text, bigint, text, jsonb, timestamptz, integer, boolean, text
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.join_topic(
    text, bigint, text, jsonb, timestamptz, integer, boolean, text
) TO roost_user;

COMMENT ON FUNCTION realtime.join_topic(
    text, bigint, text, jsonb, timestamptz, integer, boolean, text
) IS
'Decides a join. Answers a row for the topic, and for an inbox one more for each topic that is heard
in it: its newest offset, the log''s epoch, the offset up to which the caller may see nothing (0
where they may see all), the offset to replay from (NULL for none), whether what the client lacks
behind that is gone, which is an error for the topic itself, and for that
realtime.get_subscriptions() and, of an inbox, the token of this moment. p_after is the last offset
that the client has, p_epoch the epoch that it had it from, p_positions the same for topics heard in
the inbox, or of the topic itself: {"<topic>": offset}, p_resume the token from which on it has
heard them: of a topic without an offset it has what was there. p_acknowledged takes all of these
from what the device has acknowledged. p_since and p_limit replay the newest p_limit events that are
not older. Errors: RO101, RO302 (the token is none), RO401, RO402 (no such offset), RO403 (must
refetch).';

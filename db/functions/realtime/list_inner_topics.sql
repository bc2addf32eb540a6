-- One place says what is heard in an inbox. Whoever changes a right to one of these topics ends it
-- there (events.revokes), and grants it in the inbox (events.grants_topic).
CREATE OR REPLACE FUNCTION realtime.list_inner_topics(
    p_inbox text,
    p_after bigint,
    p_positions jsonb
)
RETURNS TABLE (
    topic text,
    last_offset bigint,
    visible_after bigint,
    replay_after bigint,
    is_gone boolean
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH position AS (
        SELECT sent.key AS topic, sent.value::bigint AS after
        FROM jsonb_each_text(p_positions) AS sent
    ),
    -- What was granted since the client was here is replayed from where it was granted.
    granted AS (
        SELECT event.grants_topic AS topic, max(event.grants_after) AS after
        FROM realtime.events AS event
        WHERE event.topic = p_inbox
            AND event.event_offset > p_after
            AND event.grants_topic IS NOT NULL
        GROUP BY event.grants_topic
    ),
    heard AS (
        SELECT
            format('conversation:%s', conversation.id) AS topic,
            conversation.last_seq AS last_offset,
            participant.history_after_seq AS visible_after
        FROM roost.conversation_participants AS participant
        JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
        WHERE participant.user_id = substr(p_inbox, 6)::uuid
            AND participant.left_at IS NULL
            AND NOT participant.suspended
    )
    SELECT
        heard.topic,
        heard.last_offset,
        heard.visible_after,
        asked.after,
        coalesce(
            asked.after > heard.last_offset
            OR (
                asked.after < heard.last_offset
                AND (
                    asked.after < heard.visible_after
                    OR NOT realtime.has_event(heard.topic, asked.after + 1)
                )
            ),
            false
        )
    FROM heard
    LEFT JOIN position ON position.topic = heard.topic
    LEFT JOIN granted ON granted.topic = heard.topic
    CROSS JOIN LATERAL (SELECT coalesce(position.after, granted.after)) AS asked (after);
END;
$$;

REVOKE ALL ON FUNCTION realtime.list_inner_topics(text, bigint, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION realtime.list_inner_topics(text, bigint, jsonb) IS
'The topics that are heard in an inbox: all conversations that the person may read. p_after is the
offset from which the inbox is replayed, p_positions {"<topic>": offset} what the client has of
others; the answer is as for realtime.join_topic.';

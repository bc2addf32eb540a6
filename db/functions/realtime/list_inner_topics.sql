-- One place says what is heard in an inbox. Whoever changes a right to one of these topics ends it
-- there (events.revokes), and grants it in the inbox (events.grants_topic).
CREATE OR REPLACE FUNCTION realtime.list_inner_topics(
    p_inbox text,
    p_after bigint,
    p_positions jsonb,
    p_snapshot pg_snapshot
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
-- However much of a table is one inbox's: the next one is another's.
SET enable_seqscan = off
AS $$
DECLARE
    v_granted_after bigint := p_after;
BEGIN
    IF p_snapshot IS NOT NULL THEN
        -- A topic that was granted since is due from there, whether the client has been told so.
        v_granted_after := least(p_after, realtime.offset_in_snapshot(p_inbox, p_snapshot));
    END IF;

    RETURN QUERY
    WITH position AS (
        SELECT sent.key AS topic, sent.value::bigint AS after
        FROM jsonb_each_text(p_positions) AS sent
    ),
    -- What was granted since the client was here is replayed from where it was granted. A restored
    -- conversation was heard before, so what was said in it before its deletion may be lacking too.
    granted AS (
        SELECT
            event.grants_topic AS topic,
            max(event.grants_after) FILTER (
                WHERE p_snapshot IS NULL OR event.event <> 'conversation.restored'
            ) AS after
        FROM realtime.events AS event
        WHERE event.topic = p_inbox
            AND event.event_offset > v_granted_after
            AND event.grants_topic IS NOT NULL
        GROUP BY event.grants_topic
    ),
    heard AS (
        SELECT
            format('conversation:%s', conversation.id) AS topic,
            conversation.last_seq AS last_offset,
            participant.history_after_seq AS visible_after,
            realtime.is_in_snapshot(conversation.xmin, p_snapshot) AS is_as_it_was
        FROM roost.conversation_participants AS participant
        JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
        WHERE participant.user_id = substr(p_inbox, 6)::uuid
            AND participant.left_at IS NULL
            AND NOT participant.suspended
        UNION ALL
        -- Nothing has been told of one that has no row yet.
        SELECT
            workspace.topic,
            coalesce(counted.last_offset, 0),
            0,
            counted.topic IS NULL OR realtime.is_in_snapshot(counted.xmin, p_snapshot)
        FROM (
            SELECT format('workspace:%s', member.workspace_id) AS topic
            FROM roost.workspace_members AS member
            WHERE member.user_id = substr(p_inbox, 6)::uuid AND member.left_at IS NULL
        ) AS workspace
        LEFT JOIN realtime.topics AS counted ON counted.topic = workspace.topic
    )
    SELECT
        heard.topic,
        heard.last_offset,
        heard.visible_after,
        asked.after,
        -- In order: the log is asked about those alone of which something is lacking.
        CASE
            WHEN asked.after IS NULL OR asked.after = heard.last_offset THEN false
            WHEN asked.after > heard.last_offset OR asked.after < heard.visible_after THEN true
            ELSE NOT realtime.has_event(heard.topic, asked.after + 1)
        END
    FROM heard
    LEFT JOIN position ON position.topic = heard.topic
    LEFT JOIN granted ON granted.topic = heard.topic
    CROSS JOIN LATERAL (
        SELECT coalesce(
            position.after,
            granted.after,
            CASE WHEN NOT heard.is_as_it_was THEN
                greatest(
                    realtime.offset_in_snapshot(heard.topic, p_snapshot), heard.visible_after
                )
            END
        )
        -- Not put into each place that it is used in: a topic is walked down once.
        OFFSET 0
    ) AS asked (after);
END;
$$;

REVOKE ALL ON FUNCTION realtime.list_inner_topics(text, bigint, jsonb, pg_snapshot) FROM PUBLIC;

COMMENT ON FUNCTION realtime.list_inner_topics(text, bigint, jsonb, pg_snapshot) IS
'The topics that are heard in an inbox: all conversations and workspaces that the person may
read. p_after is the
offset from which the inbox is replayed, p_positions {"<topic>": offset} what the client has of
others, p_snapshot what was there when the client first joined, up to which it has all other topics;
the answer is as for realtime.join_topic.';

-- Runs as the owner, who alone may read what a message was before; so it asks itself what the
-- caller may see: changes of messages in their part of the history, and no content of a deleted
-- one. After a change a message is what it was before the next one, or what it is now.
CREATE OR REPLACE FUNCTION roost.read_message_changes(
    p_conversation_id uuid,
    p_message_id uuid,
    p_after_seq bigint,
    p_page_size integer
)
RETURNS SETOF roost.message_change
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A change is left out when those before it on the page have this many bytes.
    c_most_bytes CONSTANT integer := 4194304;
    v_history_after_seq bigint;
    v_after_seq bigint;
BEGIN
    SELECT participant.history_after_seq
    INTO v_history_after_seq
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = p_conversation_id
        AND participant.user_id = roost.current_user_id()
        AND participant.left_at IS NULL
        AND NOT participant.suspended;

    -- With nothing to compare with, nothing is found. A change never comes before its message.
    v_after_seq := CASE
        WHEN v_history_after_seq IS NOT NULL THEN greatest(p_after_seq, v_history_after_seq)
    END;

    RETURN QUERY
    SELECT
        page.conversation_id, page.seq, page.message_id, page.change_type, page.version,
        page.before, page.after, page.user_id, page.device_id, page.created_at
    FROM (
        SELECT
            seen.*,
            sum(
                coalesce(octet_length(seen.before::text), 0)
                + coalesce(octet_length(seen.after::text), 0)
            ) OVER (
                ORDER BY seen.seq
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM (
            SELECT
                listed.conversation_id,
                listed.seq,
                listed.message_id,
                listed.change_type,
                listed.version,
                CASE WHEN message.deleted_at IS NULL THEN listed.before END AS before,
                CASE
                    WHEN message.deleted_at IS NULL AND listed.change_type <> 'deleted'
                        THEN coalesce(
                            (
                                SELECT next.before
                                FROM roost.message_changes AS next
                                WHERE next.message_id = listed.message_id AND next.seq > listed.seq
                                ORDER BY next.seq
                                LIMIT 1
                            ),
                            jsonb_build_object(
                                'content', message.content, 'metadata', message.metadata
                            )
                        )
                END AS after,
                listed.user_id,
                listed.device_id,
                listed.created_at
            FROM (
                (
                    SELECT change.*
                    FROM roost.message_changes AS change
                    WHERE p_message_id IS NOT NULL
                        AND change.message_id = p_message_id
                        AND change.seq > v_after_seq
                    ORDER BY change.seq
                    LIMIT p_page_size
                )
                UNION ALL
                (
                    SELECT change.*
                    FROM roost.message_changes AS change
                    WHERE p_message_id IS NULL
                        AND change.conversation_id = p_conversation_id
                        AND change.seq > v_after_seq
                        AND (
                            SELECT changed.seq
                            FROM roost.messages AS changed
                            WHERE changed.id = change.message_id
                        ) > v_history_after_seq
                    ORDER BY change.seq
                    LIMIT p_page_size
                )
            ) AS listed
            -- LIMIT: else the planner may read all messages to join them with a page.
            CROSS JOIN LATERAL (
                SELECT changed.deleted_at, changed.content, changed.metadata
                FROM roost.messages AS changed
                WHERE changed.id = listed.message_id
                    AND changed.conversation_id = p_conversation_id
                    AND changed.seq > v_history_after_seq
                LIMIT 1
            ) AS message
        ) AS seen
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
    ORDER BY page.seq;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_message_changes(uuid, uuid, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_message_changes(uuid, uuid, bigint, integer) TO roost_api;

COMMENT ON FUNCTION roost.read_message_changes(uuid, uuid, bigint, integer) IS
'Changes of a conversation''s messages that the caller may see, in order of seq: of one message, or
with NULL of all.';

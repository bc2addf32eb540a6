-- Newest first: a reply goes before what it replies to, and with the same statement or an earlier
-- one, so that no reply is written again for a parent that is gone. To be called under the row's
-- lock.
CREATE OR REPLACE FUNCTION roost.erase_conversation(p_conversation_id uuid, p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Going through the log costs a tenth of what a message costs with all that hangs on it.
    v_most_events integer := 10 * p_limit;
    v_messages bigint;
    v_events bigint;
BEGIN
    DELETE FROM roost.messages AS message
    WHERE message.conversation_id = p_conversation_id
        AND message.seq = ANY (ARRAY(
            SELECT newest.seq
            FROM roost.messages AS newest
            WHERE newest.conversation_id = p_conversation_id
            ORDER BY newest.seq DESC
            LIMIT p_limit
        ));
    GET DIAGNOSTICS v_messages = ROW_COUNT;

    v_events := realtime.forget_topic(
        format('conversation:%s', p_conversation_id), v_most_events
    );

    IF v_events < v_most_events AND NOT EXISTS (
        SELECT FROM roost.messages AS message WHERE message.conversation_id = p_conversation_id
    ) THEN
        DELETE FROM roost.conversations AS conversation
        WHERE conversation.id = p_conversation_id AND conversation.purged_at IS NOT NULL;
    END IF;

    RETURN v_messages + v_events;
END;
$$;

REVOKE ALL ON FUNCTION roost.erase_conversation(uuid, integer) FROM PUBLIC;

COMMENT ON FUNCTION roost.erase_conversation(uuid, integer) IS
'Erases up to p_limit messages and ten times as many events of a conversation that was deleted for
good, and with the last of them the conversation. Answers how many messages and events it erased.';

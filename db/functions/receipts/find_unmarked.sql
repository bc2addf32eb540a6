CREATE OR REPLACE FUNCTION roost.find_unmarked(
    p_conversation_id uuid,
    p_up_to_seq bigint,
    p_read boolean
)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_marker bigint;
    v_unread_number bigint;
BEGIN
    SELECT
        CASE WHEN p_read THEN participant.last_read_seq ELSE participant.last_delivered_seq END,
        CASE
            WHEN p_read AND conversation.last_number > participant.read_number
                AND conversation.last_number > conversation.expired_number
                THEN conversation.last_number
        END
    INTO v_marker, v_unread_number
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.conversation_id = p_conversation_id
        AND participant.user_id = roost.current_user_id();

    -- Numbers of messages that went with their author's account are above the newest one's: they
    -- are read with it.
    IF v_unread_number IS NOT NULL AND NOT EXISTS (
        SELECT FROM roost.messages AS message
        WHERE message.conversation_id = p_conversation_id AND message.seq > p_up_to_seq
    ) THEN
        RETURN v_unread_number;
    END IF;

    RETURN (
        SELECT message.number
        FROM roost.messages AS message
        WHERE message.conversation_id = p_conversation_id
            AND message.seq > v_marker
            AND message.seq <= p_up_to_seq
        ORDER BY message.seq DESC
        LIMIT 1
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.find_unmarked(uuid, bigint, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_unmarked(uuid, bigint, boolean) TO roost_api;

COMMENT ON FUNCTION roost.find_unmarked(uuid, bigint, boolean) IS
'Number of the newest message, up to a seq, that the caller has not yet marked as read (p_read) or
delivered; NULL when there is none. For p_read, when no message comes after the seq, the last number
that was given out, as long as anything counts as unread.';

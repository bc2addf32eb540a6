-- Runs as whoever asks: the policies decide what there is, and which message is the newest.
CREATE OR REPLACE FUNCTION roost.own_conversation(p_conversation_id uuid)
RETURNS roost.conversation
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (roost.describe_conversation(conversation, participant, newest.message)).*
    FROM roost.conversations AS conversation
    JOIN roost.conversation_participants AS participant
        ON participant.conversation_id = conversation.id
        AND participant.user_id = (SELECT roost.current_user_id())
        AND participant.left_at IS NULL
    LEFT JOIN LATERAL (
        SELECT roost.describe_message(message) AS message
        FROM roost.messages AS message
        WHERE message.conversation_id = conversation.id
        ORDER BY message.seq DESC
        LIMIT 1
    ) AS newest ON true
    WHERE conversation.id = p_conversation_id;
$$;

REVOKE ALL ON FUNCTION roost.own_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.own_conversation(uuid) TO roost_api;

COMMENT ON FUNCTION roost.own_conversation(uuid) IS
'A conversation as the caller gets it, NULL where they see none.';

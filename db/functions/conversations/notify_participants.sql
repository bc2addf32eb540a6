-- Every inbox is a row lock. Taken in one order everywhere, two conversations between the same
-- people can't wait for each other. Runs as the owner: of a deleted conversation nobody sees who is
-- in it.
CREATE OR REPLACE FUNCTION roost.notify_participants(
    p_conversation_id uuid,
    p_event text,
    p_payload json
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM realtime.publish(inbox.topic, p_event, p_payload)
    FROM (
        SELECT format('user:%s', participant.user_id) AS topic
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = p_conversation_id AND participant.left_at IS NULL
        ORDER BY participant.user_id
    ) AS inbox;
END;
$$;

REVOKE ALL ON FUNCTION roost.notify_participants(uuid, text, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.notify_participants(uuid, text, json) TO roost_api;

COMMENT ON FUNCTION roost.notify_participants(uuid, text, json) IS
'Publishes an event in the inbox of everybody who takes part in a conversation.';

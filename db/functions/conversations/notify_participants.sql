-- Every inbox is a row lock. Taken in one order everywhere, two conversations between the same
-- people can't wait for each other. Runs as the owner: of a deleted conversation nobody sees who is
-- in it.
CREATE OR REPLACE FUNCTION roost.notify_participants(
    p_conversation_id uuid,
    p_event text,
    p_payload json,
    p_grants_after bigint DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM realtime.publish(
        inbox.topic,
        p_event,
        p_payload,
        p_grants_topic => CASE
            WHEN p_grants_after IS NOT NULL THEN format('conversation:%s', p_conversation_id)
        END,
        p_grants_after => p_grants_after
    )
    FROM (
        SELECT format('user:%s', participant.user_id) AS topic
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = p_conversation_id AND participant.left_at IS NULL
        ORDER BY participant.user_id
    ) AS inbox;
END;
$$;

REVOKE ALL ON FUNCTION roost.notify_participants(uuid, text, json, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.notify_participants(uuid, text, json, bigint) TO roost_api;

COMMENT ON FUNCTION roost.notify_participants(uuid, text, json, bigint) IS
'Publishes an event in the inbox of everybody who takes part in a conversation. With p_grants_after,
they may read the conversation from then on, behind that offset.';

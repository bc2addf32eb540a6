CREATE OR REPLACE FUNCTION roost.get_receipt(p_conversation_id uuid)
RETURNS roost.receipt
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_receipt roost.receipt;
BEGIN
    SELECT
        participant.conversation_id,
        participant.user_id,
        participant.last_read_seq,
        participant.last_delivered_seq,
        greatest(
            0,
            conversation.last_number
            - greatest(participant.read_number, conversation.expired_number)
        )
    INTO v_receipt
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.conversation_id = p_conversation_id
        AND participant.user_id = roost.current_user_id();

    RETURN v_receipt;
END;
$$;

REVOKE ALL ON FUNCTION roost.get_receipt(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_receipt(uuid) TO roost_api;

COMMENT ON FUNCTION roost.get_receipt(uuid) IS
'How far the caller has come in a conversation; NULL when it is not theirs to see.';

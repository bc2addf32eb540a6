-- A marker moves when there is a message to mark, and not for the sake of other events: two devices
-- that mark whatever they get, receipts included, would answer each other for ever.
CREATE OR REPLACE FUNCTION roost.move_markers(
    p_conversation_id uuid,
    p_up_to_seq bigint,
    p_read boolean
)
RETURNS roost.receipt
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_receipt roost.receipt := roost.get_receipt(p_conversation_id);
    v_last_seq bigint := (
        SELECT conversation.last_seq
        FROM roost.conversations AS conversation
        WHERE conversation.id = p_conversation_id
    );
    v_number bigint;
BEGIN
    -- After the above, which nobody's removal can thus take from under it.
    PERFORM roost.require_permission(p_conversation_id, 'receipt.mark');

    IF (p_up_to_seq <= v_last_seq) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The conversation has not come that far.',
            DETAIL = format(
                'up_to_seq: %s; newest: %s', coalesce(p_up_to_seq::text, 'null'), v_last_seq
            ),
            HINT = 'Send the seq of the last message that was received or shown.';
    END IF;

    -- Nothing to do, as for a device that is behind the others, waits for nobody.
    IF roost.find_unmarked(p_conversation_id, p_up_to_seq, p_read) IS NULL THEN
        RETURN v_receipt;
    END IF;

    PERFORM roost.lock_conversation(p_conversation_id, 'receipt.mark');

    -- Once more: meanwhile another device may have come further.
    v_number := roost.find_unmarked(p_conversation_id, p_up_to_seq, p_read);

    IF v_number IS NOT NULL THEN
        UPDATE roost.conversation_participants AS participant
        SET last_read_seq = CASE WHEN p_read THEN p_up_to_seq ELSE participant.last_read_seq END,
            read_number = CASE WHEN p_read THEN v_number ELSE participant.read_number END,
            last_delivered_seq = greatest(participant.last_delivered_seq, p_up_to_seq),
            -- The offset that the event below takes, under the conversation's lock.
            change_seq = (
                SELECT conversation.last_seq + 1
                FROM roost.conversations AS conversation
                WHERE conversation.id = p_conversation_id
            )
        WHERE participant.conversation_id = p_conversation_id
            AND participant.user_id = roost.current_user_id();

        PERFORM realtime.publish(
            format('conversation:%s', p_conversation_id),
            'receipt',
            row_to_json(roost.get_receipt(p_conversation_id))
        );
    END IF;

    RETURN roost.get_receipt(p_conversation_id);
END;
$$;

REVOKE ALL ON FUNCTION roost.move_markers(uuid, bigint, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.move_markers(uuid, bigint, boolean) TO roost_api;

COMMENT ON FUNCTION roost.move_markers(uuid, bigint, boolean) IS
'Marks messages up to a seq as delivered to the caller, with p_read also as read, and tells the
conversation when that moves anything. Raises RO101, RO201 or RO302.';

-- Asked by triggers when the transaction ends: at first there is no owner, and while it is handed
-- over there may be two. Two transactions that each leave one could together leave two or none; so
-- the second waits for the row here, and then sees what the first has done.
CREATE OR REPLACE FUNCTION roost.require_one_owner(p_conversation_id uuid)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid;
    v_owners uuid[];
BEGIN
    SELECT conversation.user_id
    INTO v_user_id
    FROM roost.conversations AS conversation
    WHERE conversation.id = p_conversation_id
    FOR NO KEY UPDATE;

    -- It may be gone as a whole.
    IF NOT FOUND THEN
        RETURN;
    END IF;

    v_owners := ARRAY(
        SELECT participant.user_id
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = p_conversation_id
            AND participant.role = 'owner'
            AND participant.left_at IS NULL
    );

    IF v_owners <> ARRAY[v_user_id] THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'A conversation has exactly one owner, whose id it has.',
            DETAIL = format(
                'Conversation: %s; user_id: %s; owners: %s', p_conversation_id, v_user_id, v_owners
            ),
            HINT = 'Change user_id and both roles in one transaction, as transfer_ownership does.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_one_owner(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.require_one_owner(uuid) IS
'Raises check_violation unless a conversation has one owner, and it is its user_id.';

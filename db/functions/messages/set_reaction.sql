CREATE OR REPLACE FUNCTION roost.set_reaction(p_message_id uuid, p_reaction text, p_added boolean)
RETURNS roost.reaction_event
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_message roost.messages := roost.lock_message(
        p_message_id, 'message.react', 'message.react'
    );
    v_event roost.reaction_event;
BEGIN
    IF v_message.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO304',
            MESSAGE = 'The message was deleted.',
            DETAIL = format('Message: %s', p_message_id),
            HINT = 'React to it again once it is restored.';
    END IF;

    -- Not the transaction's beginning, which may be earlier than that of who had the lock before.
    IF p_added THEN
        INSERT INTO roost.message_reactions (message_id, user_id, reaction, created_at)
        VALUES (p_message_id, v_user_id, p_reaction, clock_timestamp())
        ON CONFLICT ON CONSTRAINT message_reactions_pkey DO NOTHING;
    ELSE
        DELETE FROM roost.message_reactions AS given
        WHERE given.message_id = p_message_id
            AND given.user_id = v_user_id
            AND given.reaction = p_reaction;
    END IF;

    SELECT
        message.id,
        message.conversation_id,
        message.seq,
        v_user_id,
        p_reaction,
        p_added,
        message.reactions
    INTO STRICT v_event
    FROM roost.messages AS message
    WHERE message.id = p_message_id;

    RETURN v_event;
END;
$$;

REVOKE ALL ON FUNCTION roost.set_reaction(uuid, text, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.set_reaction(uuid, text, boolean) TO roost_api;

COMMENT ON FUNCTION roost.set_reaction(uuid, text, boolean) IS
'Gives or takes back a reaction of the caller; the triggers of message_reactions do the rest. Raises
RO101, RO201, RO202, RO203 or RO304 where it may not.';

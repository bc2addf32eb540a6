-- Whoever writes: the message has the summary of its reactions, and the conversation is told. Under
-- the conversation's lock, so that of two who react at once the second counts the first as well,
-- and the offset that the message gets as its change_seq is the event's. As the owner: whoever
-- reacts may not change the message.
CREATE OR REPLACE FUNCTION roost.record_reaction(
    p_reaction roost.message_reactions,
    p_added boolean
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_of_a_message CONSTANT integer := 100;
    c_most_of_a_person CONSTANT integer := 20;
    v_event roost.reaction_event;
BEGIN
    PERFORM FROM roost.conversations AS conversation
    WHERE conversation.id = (
        SELECT message.conversation_id
        FROM roost.messages AS message
        WHERE message.id = p_reaction.message_id
    )
    FOR NO KEY UPDATE;

    -- A deleted message shows none until it is restored; one whose row goes takes its own along.
    UPDATE roost.messages AS message
    SET reactions = roost.summarise_reactions(message.id),
        change_seq = conversation.last_seq + 1
    FROM roost.conversations AS conversation
    WHERE message.id = p_reaction.message_id
        AND message.deleted_at IS NULL
        AND conversation.id = message.conversation_id
    RETURNING
        message.id,
        message.conversation_id,
        message.seq,
        p_reaction.user_id,
        p_reaction.reaction,
        p_added,
        message.reactions
    INTO v_event;

    IF NOT FOUND THEN
        RETURN;
    ELSIF p_added AND jsonb_array_length(v_event.reactions) > c_most_of_a_message THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The message has too many different reactions.',
            DETAIL = format('Message: %s; at most: %s', v_event.message_id, c_most_of_a_message),
            HINT = 'Use one of the reactions that it has.';
    ELSIF p_added AND c_most_of_a_person < (
        SELECT count(*)
        FROM roost.message_reactions AS given
        WHERE given.message_id = p_reaction.message_id AND given.user_id = p_reaction.user_id
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'You have too many reactions to this message.',
            DETAIL = format('Message: %s; at most: %s', v_event.message_id, c_most_of_a_person),
            HINT = 'Take one back with remove_reaction first.';
    END IF;

    PERFORM realtime.publish(
        'conversation:' || v_event.conversation_id,
        'reaction',
        row_to_json(v_event),
        p_about_offset => v_event.seq
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.record_reaction(roost.message_reactions, boolean) FROM PUBLIC;

COMMENT ON FUNCTION roost.record_reaction(roost.message_reactions, boolean) IS
'Brings the summary of a message''s reactions up to date after one has come or gone, and publishes
reaction. Raises RO302 for more than 100 different ones, or 20 of one person.';

CREATE OR REPLACE FUNCTION roost.record_reactions()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM roost.record_reaction(OLD, false);
    END IF;

    IF TG_OP <> 'DELETE' THEN
        PERFORM roost.record_reaction(NEW, true);
    END IF;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.record_reactions() FROM PUBLIC;

COMMENT ON FUNCTION roost.record_reactions() IS
'Trigger: what comes and goes of reactions is in the message, and is told.';

CREATE OR REPLACE TRIGGER message_reactions_record
AFTER INSERT OR UPDATE OR DELETE ON roost.message_reactions
FOR EACH ROW
EXECUTE FUNCTION roost.record_reactions();

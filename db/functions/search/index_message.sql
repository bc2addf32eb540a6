-- Whoever calls this has locked the conversation, so nobody writes this message's row meanwhile.
CREATE OR REPLACE FUNCTION roost.index_message(p_message roost.messages, p_place bigint)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_text text := roost.message_text(p_message.content, p_message.attachments);
    v_language text;
BEGIN
    IF p_message.deleted_at IS NOT NULL OR v_text IS NULL THEN
        DELETE FROM roost.message_search_index AS indexed
        WHERE indexed.conversation_id = p_message.conversation_id
            AND indexed.seq = p_message.seq;

        RETURN;
    END IF;

    SELECT conversation.search_language
    INTO v_language
    FROM roost.conversations AS conversation
    WHERE conversation.id = p_message.conversation_id;

    INSERT INTO roost.message_search_index AS indexed (
        conversation_id, seq, place, created_at, vector
    )
    VALUES (
        p_message.conversation_id,
        p_message.seq,
        p_place,
        p_message.created_at,
        roost.search_vector(v_text, v_language, p_message, p_place)
    )
    ON CONFLICT ON CONSTRAINT message_search_index_pkey
    DO UPDATE SET vector = excluded.vector, place = excluded.place;
END;
$$;

REVOKE ALL ON FUNCTION roost.index_message(roost.messages, bigint) FROM PUBLIC;

COMMENT ON FUNCTION roost.index_message(roost.messages, bigint) IS
'Writes what a message is found by, at this place, or takes it away.';

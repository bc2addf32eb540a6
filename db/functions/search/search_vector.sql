-- The marks are words that no text can have in it, since control characters separate words. What a
-- search filters by is then part of the query, and the index intersects it with the words:
--     c<conversation>  u<author>  t<type>  r<root of the thread>  a, with attachments
--     s<place / 16,384>  S<place / 262,144>, for a search to read back piece by piece
CREATE OR REPLACE FUNCTION roost.search_vector(
    p_text text,
    p_language text,
    p_message roost.messages,
    p_place bigint
)
RETURNS tsvector
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_words text := roost.pair_characters(roost.separate_words(p_text));
    v_parts text := roost.split_identifiers(p_text);
    v_vector tsvector := setweight(to_tsvector('simple', v_words), 'A');
    v_marks text[] := ARRAY[
        E'\x01c' || roost.search_key(p_message.conversation_id),
        E'\x01u' || roost.search_key(p_message.user_id),
        E'\x01t' || p_message.message_type,
        E'\x01s' || (p_place >> 14),
        E'\x01S' || (p_place >> 18)
    ];
BEGIN
    IF p_language <> 'simple' THEN
        v_vector := v_vector || setweight(to_tsvector(p_language::regconfig, v_words), 'B');
    END IF;

    IF v_parts IS NOT NULL THEN
        v_vector := v_vector
            || setweight(to_tsvector('simple', roost.separate_words(v_parts)), 'C');
    END IF;

    IF p_message.root_message_id IS NOT NULL THEN
        v_marks := v_marks || (E'\x01r' || roost.search_key(p_message.root_message_id));
    ELSIF p_message.reply_count > 0 THEN
        v_marks := v_marks || (E'\x01r' || roost.search_key(p_message.id));
    END IF;

    IF p_message.attachments <> '[]' THEN
        v_marks := v_marks || E'\x01a'::text;
    END IF;

    RETURN v_vector || array_to_tsvector(v_marks);
END;
$$;

REVOKE ALL ON FUNCTION roost.search_vector(text, text, roost.messages, bigint) FROM PUBLIC;

COMMENT ON FUNCTION roost.search_vector(text, text, roost.messages, bigint) IS
'What a message with this text is found by: its words (weight A), their stems in the language (B),
the parts of its identifiers (C), and the marks of what a search filters by.';

-- The words of the newest messages that the caller may read, and of no others: a suggestion tells
-- that a word is there.
CREATE OR REPLACE FUNCTION roost.suggest_words(p_terms jsonb, p_conversation_id uuid)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
AS $$
DECLARE
    c_messages CONSTANT integer := 300;
    c_rows CONSTANT integer := 6000;
    v_user_id CONSTANT uuid := roost.current_user_id();
    v_ids uuid[];
    v_words text[];
    v_suggestions jsonb;
BEGIN
    SELECT array_agg(participant.conversation_id)
    INTO v_ids
    FROM roost.conversation_participants AS participant
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND NOT participant.suspended
        AND (p_conversation_id IS NULL OR participant.conversation_id = p_conversation_id);

    -- Of a few conversations the newest messages of each, else those among the newest of all.
    IF cardinality(v_ids) <= 20 THEN
        SELECT array_agg(DISTINCT word.lexeme)
        INTO v_words
        FROM unnest(v_ids) AS scope (id)
        CROSS JOIN LATERAL (
            SELECT indexed.vector
            FROM roost.message_search_index AS indexed
            WHERE indexed.conversation_id = scope.id
                AND indexed.seq > (
                    SELECT participant.history_after_seq
                    FROM roost.conversation_participants AS participant
                    WHERE participant.conversation_id = scope.id
                        AND participant.user_id = v_user_id
                )
            ORDER BY indexed.seq DESC
            LIMIT c_messages / cardinality(v_ids)
        ) AS own
        CROSS JOIN LATERAL unnest(own.vector) AS word
        WHERE word.weights @> '{A}' OR word.weights @> '{C}';
    ELSE
        SELECT array_agg(DISTINCT word.lexeme)
        INTO v_words
        FROM (
            SELECT newest.vector
            FROM (
                SELECT indexed.*
                FROM roost.message_search_index AS indexed
                ORDER BY indexed.place DESC
                LIMIT c_rows
            ) AS newest
            WHERE newest.conversation_id = ANY (v_ids)
                AND EXISTS (
                    SELECT FROM roost.conversation_participants AS participant
                    WHERE participant.conversation_id = newest.conversation_id
                        AND participant.user_id = v_user_id
                        AND participant.history_after_seq < newest.seq
                )
            LIMIT c_messages
        ) AS own
        CROSS JOIN LATERAL unnest(own.vector) AS word
        WHERE word.weights @> '{A}' OR word.weights @> '{C}';
    END IF;

    EXECUTE format(
        $query$
            SELECT jsonb_object_agg(best.asked, best.word)
            FROM (
                SELECT DISTINCT ON (asked.word) asked.word AS asked, known.word
                FROM (
                    SELECT DISTINCT word.text
                    FROM jsonb_to_recordset($1) AS term (words text, is_exact boolean)
                    CROSS JOIN LATERAL regexp_split_to_table(term.words, ' +') AS word (text)
                    WHERE NOT term.is_exact AND char_length(word.text) >= 4
                ) AS asked (word)
                JOIN unnest($2) AS known (word)
                    ON abs(char_length(known.word) - char_length(asked.word)) <= 2
                WHERE asked.word <> ALL ($2)
                    AND %1$I.similarity(known.word, asked.word) >= 0.35
                ORDER BY
                    asked.word, %1$I.similarity(known.word, asked.word) DESC, known.word
            ) AS best
        $query$,
        roost.extension_schema('pg_trgm')
    )
    INTO v_suggestions
    USING p_terms, coalesce(v_words, '{}');

    RETURN v_suggestions;
END;
$$;

REVOKE ALL ON FUNCTION roost.suggest_words(jsonb, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.suggest_words(jsonb, uuid) TO roost_api;

COMMENT ON FUNCTION roost.suggest_words(jsonb, uuid) IS
'For each word of these terms of roost.parse_search_query that the caller''s newest messages do not
have, the one of theirs that is most like it, {"wrong": "right"}; NULL where there is none.';

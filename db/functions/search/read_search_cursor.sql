CREATE OR REPLACE FUNCTION roost.read_search_cursor(
    p_cursor text,
    OUT o_query text,
    OUT o_ranked_at double precision,
    OUT o_total text,
    OUT o_place bigint,
    OUT o_score double precision,
    OUT o_time timestamptz,
    OUT o_conversation_id uuid,
    OUT o_seq bigint
)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The longest query makes a cursor of some 8,400.
    c_most_characters CONSTANT integer := 10000;
BEGIN
    IF p_cursor IS NULL THEN
        RETURN;
    END IF;

    BEGIN
        IF char_length(p_cursor) > c_most_characters THEN
            RAISE data_exception;
        END IF;

        SELECT
            part.query, part.ranked_at, part.total, part.place, part.score, part.time,
            part.conversation_id, part.seq
        INTO
            o_query, o_ranked_at, o_total, o_place, o_score, o_time, o_conversation_id, o_seq
        FROM json_to_record(convert_from(decode(p_cursor, 'base64'), 'UTF8')::json) AS part (
            query text, ranked_at double precision, total text, place bigint,
            score double precision, time timestamptz, conversation_id uuid, seq bigint
        );
    EXCEPTION
        WHEN data_exception OR statement_too_complex THEN
            o_query := NULL;
    END;

    IF o_query IS NULL OR o_ranked_at IS NULL OR o_total IS NULL OR o_place IS NULL
        OR num_nulls(o_score, o_time, o_conversation_id, o_seq) NOT IN (0, 4)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'There is no such page.',
            DETAIL = format('Cursor: %s', left(p_cursor, 200)),
            HINT = 'Send the next of the page before as it is, or leave cursor out.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_search_cursor(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_search_cursor(text) TO roost_api;

COMMENT ON FUNCTION roost.read_search_cursor(text) IS
'What the next of a page of search_messages says. Raises RO302 for anything else.';

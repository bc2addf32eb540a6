-- Chinese, Japanese and Korean: every two neighbours are a word, and the last character of a run
-- alone, so that each character begins a word. A longer word is then a phrase of its pairs.
CREATE OR REPLACE FUNCTION roost.pair_characters(p_words text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_character CONSTANT text :=
        '[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af'
        '\uf900-\ufaff\U00020000-\U0003ffff]';
BEGIN
    IF octet_length(p_words) = char_length(p_words) OR p_words !~ c_character THEN
        RETURN p_words;
    END IF;

    RETURN (
        SELECT string_agg(
            CASE
                WHEN part.is_pairable THEN concat(
                    ' ',
                    part.text,
                    CASE WHEN part.next_is_pairable THEN part.next_text END,
                    ' '
                )
                ELSE part.text
            END,
            ''
            ORDER BY part.place
        )
        FROM (
            SELECT
                single.text,
                single.place,
                single.text ~ c_character AS is_pairable,
                lead(single.text) OVER neighbours AS next_text,
                lead(single.text) OVER neighbours ~ c_character AS next_is_pairable
            FROM string_to_table(p_words, NULL) WITH ORDINALITY AS single (text, place)
            WINDOW neighbours AS (ORDER BY single.place)
        ) AS part
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.pair_characters(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.pair_characters(text) TO roost_api;

COMMENT ON FUNCTION roost.pair_characters(text) IS
'Separated words with runs of Chinese, Japanese and Korean characters as overlapping pairs.';

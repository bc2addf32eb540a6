-- For texts that roost.find_highlights has prepared: folded, and with U+E002 where a part of an
-- identifier begins.
CREATE OR REPLACE FUNCTION roost.highlight_pattern(p_terms jsonb, p_languages text[])
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_word CONSTANT text :=
        'a-z0-9\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2070-\u218f\u2c00-\u2dff'
        '\u3005-\u3007\u3021-\u302f\u3031-\u303c\u303e-\u309f\u30a1-\u30fa\u30fc-\ud7ff'
        '\uf900-\ufdff\ufe70-\uffef\U00010000-\U0001efff\U0001fb00-\U000dffff';
    -- What is part of a word of several letters: of Chinese, Japanese and Korean each character is
    -- a word, and what stands beside one begins and ends there.
    c_letter CONSTANT text :=
        'a-z0-9\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2070-\u218f\u2c00-\u2dff'
        '\u3021-\u302f\u3031-\u303c\u303e-\u3040\u3100-\u31ef\u3200-\u33ff\u4dc0-\u4dff'
        '\ua000-\uabff\ud7b0-\ud7ff\ufb00-\ufdff\ufe70-\uffef'
        '\U00010000-\U0001efff\U0001fb00-\U0001ffff\U00040000-\U000dffff';
    c_character CONSTANT text :=
        '[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af'
        '\uf900-\ufaff\U00020000-\U0003ffff]';
    c_most_terms CONSTANT integer := 32;
    c_most_words CONSTANT integer := 16;
BEGIN
    -- What may stand before and behind is said once for all words that have it in common: it is
    -- long, and a copy of it at each word would make a pattern that takes seconds to compile.
    -- Without terms there is none: an empty group is found between any two characters.
    RETURN (
        SELECT '(' || string_agg(bounded.pattern, '|') || ')'
        FROM (
            SELECT format(
                '%s(?:%s)%s', written.before, string_agg(written.pattern, '|'), written.after
            ) AS pattern
            FROM (
                SELECT DISTINCT
                    -- In v1.2 a word begins behind the v.
                    CASE
                        WHEN word.first ~ '^[0-9]'
                            THEN format('(?<![%s])', replace(c_letter, 'a-z', 'a-uw-z'))
                        WHEN word.first !~ ('^' || c_character) THEN format('(?<![%s])', c_letter)
                    END AS before,
                    word.pattern,
                    CASE
                        WHEN form.is_stem THEN format('[%s]*', c_letter)
                        WHEN form.is_prefix THEN format('(?:\ue002?[%s])*', c_letter)
                        WHEN word.last !~ (c_character || '$') THEN format('(?![%s])', c_letter)
                    END AS after
                FROM (
                    SELECT asked.words, asked.parts, asked.is_prefix, asked.is_exact
                    FROM ROWS FROM (
                        jsonb_to_recordset(p_terms) AS (
                            words text, parts text, is_prefix boolean, is_exact boolean
                        )
                    ) WITH ORDINALITY AS asked (words, parts, is_prefix, is_exact, place)
                    GROUP BY asked.words, asked.parts, asked.is_prefix, asked.is_exact
                    ORDER BY min(asked.place)
                    LIMIT c_most_terms
                ) AS term
                CROSS JOIN LATERAL (
                    SELECT term.words, false, term.is_prefix AND term.words !~ (c_character || '$')
                    UNION ALL
                    SELECT term.parts, false, false WHERE term.parts IS NOT NULL
                    UNION ALL
                    -- A stem may end in another letter than the word: happi, happy. What was
                    -- found is compared once more.
                    SELECT
                        (
                            SELECT string_agg(
                                left(stem.lexeme, greatest(char_length(stem.lexeme) - 1, 2)),
                                ' '
                                ORDER BY stem.positions[1]
                            )
                            FROM unnest(to_tsvector(language.name::regconfig, term.words)) AS stem
                        ),
                        true,
                        false
                    FROM unnest(p_languages) AS language (name)
                    WHERE NOT term.is_exact
                        AND NOT term.is_prefix
                        AND term.words !~ c_character
                ) AS form (words, is_stem, is_prefix)
                CROSS JOIN LATERAL (
                    SELECT
                        min(part.text) FILTER (WHERE part.place = 1) AS first,
                        (array_agg(part.text ORDER BY part.place DESC))[1] AS last,
                        string_agg(
                            concat(
                                regexp_replace(part.text, '(.)(?=.)', '\1\ue002?', 'g'),
                                CASE
                                    WHEN part.next IS NULL THEN NULL
                                    WHEN form.is_stem THEN format('[%s]*[^%s]+', c_letter, c_word)
                                    WHEN part.text = 'v' AND part.next ~ '^[0-9]'
                                        THEN format('[^%s]*', c_word)
                                    ELSE format('[^%s]+', c_word)
                                END
                            ),
                            ''
                            ORDER BY part.place
                        ) AS pattern
                    FROM (
                        SELECT
                            piece.text, piece.place, lead(piece.text) OVER (ORDER BY piece.place)
                        FROM regexp_split_to_table(form.words, ' +')
                            WITH ORDINALITY AS piece (text, place)
                        WHERE piece.place <= c_most_words
                    ) AS part (text, place, next)
                ) AS word
                WHERE form.words <> ''
            ) AS written
            GROUP BY written.before, written.after
        ) AS bounded
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.highlight_pattern(jsonb, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.highlight_pattern(jsonb, text[]) TO roost_api;

COMMENT ON FUNCTION roost.highlight_pattern(jsonb, text[]) IS
'A regular expression for what these terms of roost.parse_search_query find, one group: for the
first 32 of them, and the first 16 words of each; NULL where there are none.';

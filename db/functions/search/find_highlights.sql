-- What was found has to be shown in the text as it was written, but is looked for in the folded
-- text, where a place may be another one: a ligature has become two letters, a letter and its
-- accent one. Where that can be, the text is folded character by character, with the places noted.
CREATE OR REPLACE FUNCTION roost.find_highlights(
    p_text text,
    p_pattern text,
    p_positive tsquery,
    p_languages text[]
)
RETURNS TABLE (start integer, length integer)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
-- Planned once: planning anew for each text would take longer than running.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_most CONSTANT integer := 100;
    c_slow_characters CONSTANT integer := 4000;
    c_joining CONSTANT text :=
        '[\u0300-\u036f\u0653-\u0655\u1160-\u11ff\u3099\u309a\uff9e\uff9f]';
    -- Letters of Hangul that were typed one by one become a syllable.
    c_syllable CONSTANT text := '[\u3131-\u314e][\u314f-\u3163]';
    c_cluster CONSTANT text := format('(?:%s|.)%s*', c_syllable, c_joining);
    v_text text := p_text;
    v_folded text;
    v_is_even boolean;
    -- Whether v_text has places where a capital begins a part of a word marked in it.
    v_has_parts boolean := false;
BEGIN
    IF v_text ~ '[a-z0-9][A-Z]|[A-Z]{2}[a-z]' THEN
        v_text := regexp_replace(
            regexp_replace(v_text, '([a-z0-9])([A-Z])', E'\\1\ue002\\2', 'g'),
            '([A-Z])([A-Z][a-z])',
            E'\\1\ue002\\2',
            'g'
        );
        v_has_parts := true;
    END IF;

    v_folded := roost.fold_text(v_text);
    v_is_even := octet_length(v_text) = char_length(v_text)
        OR (
            char_length(v_folded) = char_length(v_text)
            AND v_text !~ concat(c_joining, '|', c_syllable)
        );

    IF NOT v_is_even THEN
        v_text := left(v_text, c_slow_characters);
        v_folded := (
            SELECT string_agg(roost.fold_text(cluster.found[1]), '' ORDER BY cluster.place)
            FROM regexp_matches(v_text, c_cluster, 'g')
                WITH ORDINALITY AS cluster (found, place)
        );
    END IF;

    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT
            match.found[1] AS text,
            (
                sum(char_length(before.text) + char_length(match.found[1])) OVER reading
                - char_length(match.found[1])
            )::integer AS first
        FROM regexp_matches(v_folded, p_pattern, 'g')
            WITH ORDINALITY AS match (found, place)
        JOIN regexp_split_to_table(v_folded, p_pattern)
            WITH ORDINALITY AS before (text, place)
            ON before.place = match.place
        WINDOW reading AS (ORDER BY match.place)
        ORDER BY match.place
        LIMIT c_most
    ),
    cluster AS MATERIALIZED (
        SELECT
            single.text,
            sum(char_length(single.text)) OVER reading - char_length(single.text) AS first,
            sum(single.folded) OVER reading - single.folded AS first_folded,
            single.folded
        FROM (
            SELECT
                piece.found[1] AS text,
                char_length(roost.fold_text(piece.found[1])) AS folded,
                piece.place
            FROM regexp_matches(v_text, c_cluster, 'g')
                WITH ORDINALITY AS piece (found, place)
            WHERE NOT v_is_even
        ) AS single
        WINDOW reading AS (ORDER BY single.place)
    ),
    placed AS (
        SELECT found.text, found.first, found.first + char_length(found.text) AS after
        FROM found
        WHERE v_is_even
        UNION ALL
        SELECT
            found.text,
            min(cluster.first)::integer,
            max(cluster.first + char_length(cluster.text))::integer
        FROM found
        JOIN cluster
            ON cluster.first_folded < found.first + char_length(found.text)
            AND cluster.first_folded + cluster.folded > found.first
        GROUP BY found.text, found.first
    )
    SELECT
        placed.first - marks.before,
        placed.after - placed.first - marks.within
    FROM placed
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN v_has_parts
                    THEN placed.first
                        - char_length(replace(left(v_text, placed.first), E'\ue002', ''))
                ELSE 0
            END AS before,
            char_length(placed.text) - char_length(replace(placed.text, E'\ue002', '')) AS within
    ) AS marks
    WHERE cardinality(p_languages) = 0
        OR EXISTS (
            SELECT FROM unnest(p_languages || 'simple'::text) AS language (name)
            CROSS JOIN (VALUES (''), (' ')) AS within (gap)
            WHERE to_tsvector(
                language.name::regconfig,
                regexp_replace(
                    roost.pair_characters(
                        roost.separate_words(replace(placed.text, E'\ue002', within.gap))
                    ),
                    ' +', ' ', 'g'
                )
            ) @@ p_positive
        )
    ORDER BY placed.first;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_highlights(text, text, tsquery, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_highlights(text, text, tsquery, text[]) TO roost_api;

COMMENT ON FUNCTION roost.find_highlights(text, text, tsquery, text[]) IS
'Where a text has what a pattern of roost.highlight_pattern finds: start and length, in characters.
At most 100 of them.';

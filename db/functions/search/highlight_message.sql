-- Clients put the text into a page: so what marks a match in the snippet is no HTML, but characters
-- that no text has in it, since they are taken out of it here.
CREATE OR REPLACE FUNCTION roost.highlight_message(
    p_content jsonb,
    p_attachments jsonb,
    p_pattern text,
    p_positive tsquery,
    p_languages text[],
    OUT o_highlights jsonb,
    OUT o_snippet text
)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- Planned once: planning anew for each text would take longer than running.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_most_characters CONSTANT integer := 20000;
    -- A short text takes as long as one of so many.
    c_least_characters CONSTANT integer := 100;
    c_most_levels CONSTANT integer := 100;
    c_snippet CONSTANT integer := 200;
    c_before CONSTANT integer := 60;
    v_pattern text := p_pattern;
    v_left integer := c_most_characters;
    v_leaf record;
    v_found jsonb;
    v_first integer;
    v_text text;
    v_skipped integer;
BEGIN
    o_highlights := '[]';

    FOR v_leaf IN
        WITH RECURSIVE node (field, value, depth) AS (
            SELECT NULL::text, p_content, 0
            UNION ALL
            SELECT
                concat_ws('.', node.field, child.key),
                child.value,
                node.depth + 1
            FROM node
            CROSS JOIN LATERAL (
                SELECT entry.key, entry.value
                FROM jsonb_each(
                    CASE WHEN jsonb_typeof(node.value) = 'object' THEN node.value ELSE '{}' END
                ) AS entry (key, value)
                UNION ALL
                SELECT (item.place - 1)::text, item.value
                FROM jsonb_array_elements(
                    CASE WHEN jsonb_typeof(node.value) = 'array' THEN node.value ELSE '[]' END
                ) WITH ORDINALITY AS item (value, place)
            ) AS child (key, value)
            WHERE node.depth < c_most_levels
        )
        SELECT node.field, node.value #>> '{}' AS text
        FROM node
        WHERE jsonb_typeof(node.value) = 'string' AND node.value <> '""'
        UNION ALL
        SELECT format('attachments.%s.name', attached.place - 1), attached.value ->> 'name'
        FROM jsonb_array_elements(p_attachments) WITH ORDINALITY AS attached (value, place)
    LOOP
        EXIT WHEN v_left <= 0;

        v_text := left(v_leaf.text, v_left);
        v_left := v_left - greatest(char_length(v_text), c_least_characters);
        IF v_text ~ '[\ue000-\ue002]' THEN
            v_text := translate(v_text, E'\ue000\ue001\ue002', E'\ufffd\ufffd\ufffd');
        END IF;

        -- A message without highlights is better than none.
        BEGIN
            SELECT jsonb_agg(
                jsonb_build_object(
                    'field', v_leaf.field, 'start', found.start, 'length', found.length
                )
                ORDER BY found.start
            )
            INTO v_found
            FROM roost.find_highlights(v_text, v_pattern, p_positive, p_languages) AS found;
        EXCEPTION
            WHEN invalid_regular_expression THEN
                v_pattern := NULL;
                v_found := NULL;
        END;

        -- Without a match, as for a message that is found by what it means, its first text.
        IF o_snippet IS NULL OR (o_highlights = '[]' AND v_found IS NOT NULL) THEN
            v_first := coalesce((v_found -> 0 ->> 'start')::integer, 0);
            v_skipped := greatest(v_first - c_before, 0);
            IF v_skipped > 0 THEN
                -- Not in the middle of a word.
                v_skipped := v_skipped + least(
                    char_length(substring(substr(v_text, v_skipped + 1, c_before) FROM '^\S*\s*')),
                    v_first - v_skipped
                );
            END IF;

            SELECT concat(
                CASE WHEN v_skipped > 0 THEN '…' END,
                string_agg(
                    concat(
                        substr(
                            v_text,
                            v_skipped + part.first + 1,
                            part.start - part.first
                        ),
                        CASE
                            WHEN part.length > 0 THEN concat(
                                E'\ue000',
                                substr(v_text, v_skipped + part.start + 1, part.length),
                                E'\ue001'
                            )
                        END
                    ),
                    ''
                    ORDER BY part.start
                ),
                CASE WHEN char_length(v_leaf.text) > v_skipped + c_snippet THEN '…' END
            )
            INTO o_snippet
            FROM (
                SELECT
                    cut.start,
                    cut.length,
                    lag(cut.start + cut.length, 1, 0) OVER (ORDER BY cut.start) AS first
                FROM (
                    SELECT
                        (match.value ->> 'start')::integer - v_skipped AS start,
                        least(
                            (match.value ->> 'length')::integer,
                            c_snippet + v_skipped - (match.value ->> 'start')::integer
                        ) AS length
                    FROM jsonb_array_elements(coalesce(v_found, '[]')) AS match (value)
                    WHERE (match.value ->> 'start')::integer < v_skipped + c_snippet
                    UNION ALL
                    SELECT least(c_snippet, char_length(v_text) - v_skipped), 0
                ) AS cut
            ) AS part;
        END IF;

        o_highlights := o_highlights || coalesce(v_found, '[]');
    END LOOP;

    o_snippet := coalesce(o_snippet, '');
END;
$$;

REVOKE ALL ON FUNCTION roost.highlight_message(jsonb, jsonb, text, tsquery, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    roost.highlight_message(jsonb, jsonb, text, tsquery, text[])
TO roost_api;

COMMENT ON FUNCTION roost.highlight_message(jsonb, jsonb, text, tsquery, text[]) IS
'Where a message has what was looked for, [{"field", "start", "length"}], and some 200 characters
around the first of them, in which each is between U+E000 and U+E001.';

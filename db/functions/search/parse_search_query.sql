-- Reads a query as websearch_to_tsquery() does ("phrases", -not, OR), with the words of
-- roost.search_vector. Nothing that a person types is an error, but more than 64 words and phrases:
-- RO302. Each term is looked for as it is written, by its stem in each language, and an identifier
-- by its parts.
--     o_query      all of it; NULL when nothing positive is asked for
--     o_prefixes   the prefixes in it, any of them: the index is slow with those of many words
--     o_driver     finds what o_query does and more, without prefixes; NULL where that can't be
--     o_positive   its positive terms, any of them
--     o_terms      the same for highlights: [{"words", "parts", "is_prefix", "is_exact"}]
CREATE OR REPLACE FUNCTION roost.parse_search_query(
    p_query text,
    p_languages text[],
    OUT o_query tsquery,
    OUT o_prefixes tsquery,
    OUT o_driver tsquery,
    OUT o_positive tsquery,
    OUT o_terms jsonb
)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
-- PostgreSQL tells of each term that has no words in it.
SET client_min_messages = 'warning'
AS $$
DECLARE
    c_character CONSTANT text :=
        '[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af'
        '\uf900-\ufaff\U00020000-\U0003ffff]';
    c_most_terms CONSTANT integer := 64;
    v_count integer := 0;
    v_found text[];
    v_raw text;
    v_separate text;
    v_words text;
    v_parts text;
    v_is_exact boolean;
    v_is_prefix boolean;
    v_term tsquery;
    v_language text;
    v_group tsquery;
    v_group_driver tsquery;
    v_is_positive boolean := false;
    v_has_driver boolean := true;
BEGIN
    o_terms := '[]';

    -- One more OR ends the last group.
    FOREACH v_found SLICE 1 IN ARRAY (
        SELECT array_agg(term.found ORDER BY term.place NULLS LAST)
        FROM (
            SELECT matched.found, matched.place
            FROM regexp_matches(p_query, '(-?)(?:"([^"]*)"?|([^\s"]+))', 'g')
                WITH ORDINALITY AS matched (found, place)
            UNION ALL
            SELECT ARRAY['', NULL, 'or'], NULL
        ) AS term
    ) LOOP
        IF v_found[1] = '' AND lower(v_found[3]) = 'or' THEN
            IF v_is_positive THEN
                o_query := CASE WHEN o_query IS NULL THEN v_group ELSE o_query || v_group END;
                IF v_group_driver IS NULL THEN
                    v_has_driver := false;
                ELSE
                    o_driver := CASE
                        WHEN o_driver IS NULL THEN v_group_driver
                        ELSE o_driver || v_group_driver
                    END;
                END IF;
            END IF;
            v_group := NULL;
            v_group_driver := NULL;
            v_is_positive := false;
            CONTINUE;
        END IF;

        v_is_exact := v_found[2] IS NOT NULL;
        v_raw := coalesce(v_found[2], v_found[3]);
        v_separate := btrim(roost.separate_words(v_raw));
        v_words := regexp_replace(btrim(roost.pair_characters(v_separate)), ' +', ' ', 'g');
        v_is_prefix := NOT v_is_exact AND v_raw ~ '[*]$';

        -- At the end of a text the last character stands alone, at the end of a term it need not.
        IF v_separate ~ (c_character || '{2}$') THEN
            v_words := regexp_replace(v_words, ' [^ ]+$', '');
        ELSIF v_separate ~ (c_character || '$') THEN
            v_is_prefix := true;
        END IF;

        v_term := phraseto_tsquery('simple', v_words);
        CONTINUE WHEN numnode(v_term) = 0;

        v_count := v_count + 1;
        IF v_count > c_most_terms THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO302',
                MESSAGE = 'The query has too many words.',
                DETAIL = format('More than %s words and phrases.', c_most_terms),
                HINT = 'Send fewer words, or look for a passage as one "phrase" in double quotes.';
        END IF;

        IF v_is_prefix THEN
            v_term := (v_term::text || ':*')::tsquery;
        END IF;

        v_parts := NULL;
        IF NOT v_is_exact AND NOT v_is_prefix THEN
            FOREACH v_language IN ARRAY p_languages LOOP
                v_term := v_term || phraseto_tsquery(v_language::regconfig, v_words);
            END LOOP;

            v_parts := btrim(roost.separate_words(roost.split_identifiers(v_raw)));
            IF v_parts IS NOT NULL THEN
                v_term := v_term || phraseto_tsquery('simple', v_parts);
            END IF;
        END IF;

        IF v_found[1] = '-' THEN
            v_group := CASE WHEN v_group IS NULL THEN !! v_term ELSE v_group && !! v_term END;
            CONTINUE;
        END IF;

        v_is_positive := true;
        o_positive := CASE WHEN o_positive IS NULL THEN v_term ELSE o_positive || v_term END;
        v_group := CASE WHEN v_group IS NULL THEN v_term ELSE v_group && v_term END;
        IF v_is_prefix THEN
            o_prefixes := CASE WHEN o_prefixes IS NULL THEN v_term ELSE o_prefixes || v_term END;
        ELSE
            v_group_driver := CASE
                WHEN v_group_driver IS NULL THEN v_term
                ELSE v_group_driver && v_term
            END;
        END IF;

        o_terms := o_terms || jsonb_build_object(
            'words', v_separate,
            'parts', v_parts,
            'is_prefix', v_is_prefix,
            'is_exact', v_is_exact
        );
    END LOOP;

    IF NOT v_has_driver THEN
        o_driver := NULL;
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.parse_search_query(text, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.parse_search_query(text, text[]) TO roost_api;

COMMENT ON FUNCTION roost.parse_search_query(text, text[]) IS
'A query in the form that people know from search engines, as queries of PostgreSQL.';

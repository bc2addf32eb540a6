-- Whatever is neither letter nor digit separates, so that parts of identifiers, paths and versions
-- stand side by side: snake_case is found by its parts, and as a whole as a phrase. The v of v1.2
-- stands alone, so that 1.2 finds it. The parser of PostgreSQL, which would take a path or an
-- address for one word, then sees nothing but words. Control characters separate too: what
-- roost.search_vector marks with one can't come from a text.
CREATE OR REPLACE FUNCTION roost.separate_words(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_words text := roost.fold_text(p_text);
BEGIN
    IF octet_length(v_words) = char_length(v_words) THEN
        v_words := regexp_replace(v_words, '[^a-z0-9 ]+', ' ', 'g');
    ELSE
        v_words := regexp_replace(
            v_words,
            '[\u0001-\u001f!-/:-@[-`{-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7'
            '\u2000-\u206f\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d\u30a0'
            '\u30fb\ue000-\uf8ff\ufe00-\ufe6f\ufff0-\uffff\U0001f000-\U0001faff'
            '\U000e0000-\U0010ffff]+',
            ' ',
            'g'
        );
    END IF;

    IF v_words ~ 'v[0-9]' THEN
        v_words := regexp_replace(v_words, '(^| )v([0-9])', '\1v \2', 'g');
    END IF;

    -- A lexeme has at most 2,046 bytes, and nobody looks for so long a word.
    IF octet_length(v_words) > 255 AND v_words ~ '[^ ]{255}' THEN
        v_words := regexp_replace(v_words, '([^ ]{254})[^ ]+', '\1', 'g');
    END IF;

    RETURN v_words;
END;
$$;

REVOKE ALL ON FUNCTION roost.separate_words(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.separate_words(text) TO roost_api;

COMMENT ON FUNCTION roost.separate_words(text) IS
'The words of a text, folded, with spaces between them.';

CREATE OR REPLACE FUNCTION roost.correct_query(p_query text, p_corrections jsonb)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_query text := roost.fold_text(p_query);
    v_correction record;
BEGIN
    -- Both are words of letters and digits: nothing in them means anything in a pattern.
    FOR v_correction IN
        SELECT made.key, made.value FROM jsonb_each_text(p_corrections) AS made (key, value)
    LOOP
        v_query := regexp_replace(
            v_query, '\m' || v_correction.key || '\M', v_correction.value, 'g'
        );
    END LOOP;

    RETURN left(v_query, 1000);
END;
$$;

REVOKE ALL ON FUNCTION roost.correct_query(text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.correct_query(text, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.correct_query(text, jsonb) IS
'A query with words replaced, as roost.suggest_words says.';

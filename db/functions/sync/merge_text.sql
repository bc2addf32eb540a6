-- As diff3 does (S. Khanna, K. Kunal, B. C. Pierce, "A Formal Investigation of Diff3", 2007): lines
-- that both sides have kept are stable, and between them a chunk that one side alone has changed is
-- taken from there.
CREATE OR REPLACE FUNCTION roost.merge_text(p_base text, p_mine text, p_theirs text)
RETURNS roost.text_merge
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_base text[] := roost.split_lines(p_base);
    v_mine text[] := roost.split_lines(p_mine);
    v_theirs text[] := roost.split_lines(p_theirs);
    v_in_mine integer[];
    v_in_theirs integer[];
    -- The first line of each that is not dealt with yet.
    v_b integer := 1;
    v_m integer := 1;
    v_t integer := 1;
    v_stable integer;
    v_old text[];
    v_left text[];
    v_right text[];
    v_text text;
    v_lines text[] := '{}'::text[];
    v_merge roost.text_merge := ROW(NULL, '[]')::roost.text_merge;
BEGIN
    -- Most have changed on one side alone.
    IF p_mine = p_theirs OR p_mine = p_base THEN
        v_merge.merged := p_theirs;

        RETURN v_merge;
    ELSIF p_theirs = p_base THEN
        v_merge.merged := p_mine;

        RETURN v_merge;
    END IF;

    v_in_mine := roost.match_lines(v_base, v_mine);
    v_in_theirs := roost.match_lines(v_base, v_theirs);

    LOOP
        -- Line by line, and no slices: to cut one out of an array takes time by its length.
        WHILE v_b <= cardinality(v_base) AND v_in_mine[v_b] = v_m AND v_in_theirs[v_b] = v_t LOOP
            v_lines := v_lines || v_base[v_b];
            v_b := v_b + 1;
            v_m := v_m + 1;
            v_t := v_t + 1;
        END LOOP;

        v_stable := v_b;

        WHILE v_stable <= cardinality(v_base)
            AND (v_in_mine[v_stable] = 0 OR v_in_theirs[v_stable] = 0)
        LOOP
            v_stable := v_stable + 1;
        END LOOP;

        v_old := '{}'::text[];
        v_left := '{}'::text[];
        v_right := '{}'::text[];

        FOR v_line IN v_b..v_stable - 1 LOOP
            v_old := v_old || v_base[v_line];
        END LOOP;

        FOR v_line IN v_m..coalesce(v_in_mine[v_stable] - 1, cardinality(v_mine)) LOOP
            v_left := v_left || v_mine[v_line];
        END LOOP;

        FOR v_line IN v_t..coalesce(v_in_theirs[v_stable] - 1, cardinality(v_theirs)) LOOP
            v_right := v_right || v_theirs[v_line];
        END LOOP;

        IF v_left = v_right OR v_right = v_old THEN
            FOREACH v_text IN ARRAY v_left LOOP
                v_lines := v_lines || v_text;
            END LOOP;
        ELSIF v_left = v_old THEN
            FOREACH v_text IN ARRAY v_right LOOP
                v_lines := v_lines || v_text;
            END LOOP;
        ELSE
            v_merge.hunks := v_merge.hunks || jsonb_build_array(jsonb_build_object(
                'line', v_b,
                'base', to_jsonb(v_old),
                'mine', to_jsonb(v_left),
                'theirs', to_jsonb(v_right)
            ));
        END IF;

        EXIT WHEN v_stable > cardinality(v_base);
        v_lines := v_lines || v_base[v_stable];
        v_b := v_stable + 1;
        v_m := v_in_mine[v_stable] + 1;
        v_t := v_in_theirs[v_stable] + 1;
    END LOOP;

    IF v_merge.hunks = '[]' THEN
        v_merge.merged := array_to_string(v_lines, E'\n');
    END IF;

    RETURN v_merge;
END;
$$;

REVOKE ALL ON FUNCTION roost.merge_text(text, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.merge_text(text, text, text) TO roost_api;

COMMENT ON FUNCTION roost.merge_text(text, text, text) IS
'Merges what two sides have made of the same text, line by line. Where they have made different
things of the same lines, merged is NULL and hunks has them: line, the number of the first in the
base, and base, mine and theirs, lists of lines.';

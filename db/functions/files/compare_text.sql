-- Slices are cut out for what differs alone.
CREATE OR REPLACE FUNCTION roost.compare_text(p_old text, p_new text)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_old text[] := roost.split_lines(p_old);
    v_new text[] := roost.split_lines(p_new);
    v_matched integer[] := roost.match_lines(v_old, v_new);
    v_o integer := 1;
    v_n integer := 1;
    v_to integer;
    v_next integer;
    v_hunks jsonb := '[]'::jsonb;
BEGIN
    LOOP
        WHILE v_o <= cardinality(v_old) AND v_matched[v_o] = v_n LOOP
            v_o := v_o + 1;
            v_n := v_n + 1;
        END LOOP;

        v_next := v_o;

        WHILE v_next <= cardinality(v_old) AND v_matched[v_next] = 0 LOOP
            v_next := v_next + 1;
        END LOOP;

        v_to := coalesce(v_matched[v_next], cardinality(v_new) + 1);

        IF v_next > v_o OR v_to > v_n THEN
            v_hunks := v_hunks || jsonb_build_array(jsonb_build_object(
                'from_line', v_o,
                'to_line', v_n,
                'removed', to_jsonb(v_old[v_o : v_next - 1]),
                'added', to_jsonb(v_new[v_n : v_to - 1])
            ));
        END IF;

        EXIT WHEN v_next > cardinality(v_old);
        v_o := v_next;
        v_n := v_to;
    END LOOP;

    RETURN v_hunks;
END;
$$;

REVOKE ALL ON FUNCTION roost.compare_text(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.compare_text(text, text) TO roost_api;

COMMENT ON FUNCTION roost.compare_text(text, text) IS
'Where a text differs from another: a list of from_line and to_line, the first line in either from
1, and removed and added, lists of lines.';

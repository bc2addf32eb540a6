-- E. W. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), behind what is the same
-- at the beginning and at the end. Texts with little in common would take long: where it takes more
-- than c_most_edits to get from one to the other, the lines in between count as replaced, which is
-- a difference too, only not the smallest.
CREATE OR REPLACE FUNCTION roost.match_lines(p_old text[], p_new text[])
RETURNS integer[]
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_edits CONSTANT integer := 400;
    v_matched integer[] := array_fill(0, ARRAY[cardinality(p_old)]);
    -- Of the part that differs: how many lines there are before it, and in it.
    v_before integer := 0;
    v_old integer := cardinality(p_old);
    v_new integer := cardinality(p_new);
    -- How far down the old lines each diagonal reaches, for all numbers of edits one after another:
    -- for d edits d + 1 diagonals, from place d * (d + 1) / 2 on.
    v_reached integer[] := '{}'::integer[];
    v_edits integer := 0;
    v_diagonal integer;
    v_from integer;
    v_x integer;
    v_y integer;
    v_is_found boolean := false;
BEGIN
    WHILE v_before < v_old
        AND v_before < v_new
        AND p_old[v_before + 1] = p_new[v_before + 1]
    LOOP
        v_before := v_before + 1;
        v_matched[v_before] := v_before;
    END LOOP;

    WHILE v_old > v_before AND v_new > v_before AND p_old[v_old] = p_new[v_new] LOOP
        v_matched[v_old] := v_new;
        v_old := v_old - 1;
        v_new := v_new - 1;
    END LOOP;

    v_old := v_old - v_before;
    v_new := v_new - v_before;

    IF v_old = 0 OR v_new = 0 THEN
        RETURN v_matched;
    END IF;

    <<edits>>
    LOOP
        FOR v_place IN 0..v_edits LOOP
            v_diagonal := 2 * v_place - v_edits;
            v_from := v_edits * (v_edits - 1) / 2 + v_place;

            -- Down from the diagonal above or right from the one below, whichever gets further.
            IF v_edits = 0 THEN
                v_x := 0;
            ELSIF v_place = 0
                OR (v_place < v_edits AND v_reached[v_from] < v_reached[v_from + 1])
            THEN
                v_x := v_reached[v_from + 1];
            ELSE
                v_x := v_reached[v_from] + 1;
            END IF;

            v_y := v_x - v_diagonal;

            WHILE v_x < v_old
                AND v_y < v_new
                AND p_old[v_before + v_x + 1] = p_new[v_before + v_y + 1]
            LOOP
                v_x := v_x + 1;
                v_y := v_y + 1;
            END LOOP;

            v_reached[v_edits * (v_edits + 1) / 2 + v_place + 1] := v_x;
            v_is_found := v_x >= v_old AND v_y >= v_new;
            EXIT edits WHEN v_is_found;
        END LOOP;

        v_edits := v_edits + 1;
        EXIT edits WHEN v_edits > c_most_edits;
    END LOOP;

    IF NOT v_is_found THEN
        RETURN v_matched;
    END IF;

    -- Back the way that it came: what is on a diagonal is the same line.
    v_x := v_old;
    v_y := v_new;

    FOR v_left IN REVERSE v_edits..0 LOOP
        v_diagonal := v_x - v_y;
        v_from := v_left * (v_left - 1) / 2 + (v_diagonal + v_left) / 2;

        IF v_left = 0 THEN
            v_from := 0;
            v_diagonal := 0;
        ELSIF v_diagonal = -v_left
            OR (v_diagonal < v_left AND v_reached[v_from] < v_reached[v_from + 1])
        THEN
            v_from := v_reached[v_from + 1];
            v_diagonal := v_diagonal + 1;
        ELSE
            v_from := v_reached[v_from];
            v_diagonal := v_diagonal - 1;
        END IF;

        -- Where the edit ends and the diagonal begins.
        WHILE v_x > v_from AND v_y > v_from - v_diagonal LOOP
            v_matched[v_before + v_x] := v_before + v_y;
            v_x := v_x - 1;
            v_y := v_y - 1;
        END LOOP;

        v_x := v_from;
        v_y := v_from - v_diagonal;
    END LOOP;

    RETURN v_matched;
END;
$$;

REVOKE ALL ON FUNCTION roost.match_lines(text[], text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.match_lines(text[], text[]) TO roost_api;

COMMENT ON FUNCTION roost.match_lines(text[], text[]) IS
'For each old line the number of the new line that it is, 0 where it is gone: a longest common
subsequence, or less of one where the two have little in common.';

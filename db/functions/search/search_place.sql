-- The place of a moment in the order of time. What is older than this release lies between the
-- places that were set aside for it, spread evenly; later moments are looked up by halving.
CREATE OR REPLACE FUNCTION roost.search_place(p_time timestamptz)
RETURNS bigint
LANGUAGE plpgsql
STABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_history roost.search_history;
    v_low bigint;
    v_high bigint;
    v_middle bigint;
    v_created_at timestamptz;
BEGIN
    SELECT history.* INTO STRICT v_history FROM roost.search_history AS history;

    IF p_time <= v_history.oldest THEN
        RETURN 1;
    END IF;

    IF p_time <= v_history.newest THEN
        RETURN 1 + floor(
            v_history.messages
            * extract(EPOCH FROM p_time - v_history.oldest)
            / extract(EPOCH FROM v_history.newest - v_history.oldest)
        );
    END IF;

    v_low := v_history.messages;
    v_high := v_low + 1;

    SELECT coalesce(max(indexed.place), v_high)
    INTO v_high
    FROM roost.message_search_index AS indexed;

    -- The lowest place of which all above are later.
    WHILE v_low < v_high LOOP
        v_middle := v_high - (v_high - v_low) / 2;

        SELECT indexed.created_at
        INTO v_created_at
        FROM roost.message_search_index AS indexed
        WHERE indexed.place >= v_middle
        ORDER BY indexed.place
        LIMIT 1;

        IF v_created_at <= p_time THEN
            v_low := v_middle;
        ELSE
            v_high := v_middle - 1;
        END IF;
    END LOOP;

    RETURN greatest(v_low, 1);
END;
$$;

REVOKE ALL ON FUNCTION roost.search_place(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION roost.search_place(timestamptz) IS
'Where in the order of message_search_index.place a moment is, about.';

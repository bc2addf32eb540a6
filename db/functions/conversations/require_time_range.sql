CREATE OR REPLACE FUNCTION roost.require_time_range(
    p_from timestamptz,
    p_to timestamptz,
    OUT from_time timestamptz,
    OUT to_time timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_least constant timestamptz := timestamptz '0001-01-01 00:00:00+00';
    v_most constant timestamptz := timestamptz '9999-12-31 00:00:00+00';
    v_fits boolean;
BEGIN
    to_time := coalesce(p_to, now());
    from_time := p_from;

    -- Between years in which nothing overflows, in any time zone. In hours, whatever the clocks of
    -- the session do.
    IF to_time BETWEEN v_least AND v_most
        AND coalesce(from_time, to_time) BETWEEN v_least AND v_most
    THEN
        from_time := coalesce(from_time, to_time - interval '30 days');
        v_fits := from_time < to_time AND to_time - from_time <= interval '366 days';
    END IF;

    IF v_fits IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The range of time is empty, or too long.',
            DETAIL = format('From %s to %s', coalesce(from_time::text, 'null'), to_time),
            HINT = 'Send a from_time before to_time, and at most 366 days before it.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_time_range(timestamptz, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_time_range(timestamptz, timestamptz) TO roost_api;

COMMENT ON FUNCTION roost.require_time_range(timestamptz, timestamptz) IS
'Answers a range of time, by default the last 30 days. Raises RO302 unless it is one, of at most 366
days.';

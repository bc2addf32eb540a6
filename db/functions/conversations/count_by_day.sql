CREATE OR REPLACE FUNCTION roost.count_by_day(
    p_local_times timestamp[],
    p_from timestamptz,
    p_to timestamptz,
    p_time_zone text
)
RETURNS roost.day_activity[]
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(
        ROW(calendar.day, coalesce(counted.message_count, 0))::roost.day_activity
        ORDER BY calendar.day
    )
    FROM (
        SELECT series.day::date
        FROM generate_series(
            date_trunc('day', p_from AT TIME ZONE p_time_zone),
            (p_to - interval '1 microsecond') AT TIME ZONE p_time_zone,
            interval '1 day'
        ) AS series (day)
    ) AS calendar (day)
    LEFT JOIN (
        SELECT sent.local_time::date AS day, count(*) AS message_count
        FROM unnest(p_local_times) AS sent (local_time)
        GROUP BY 1
    ) AS counted ON counted.day = calendar.day;
$$;

REVOKE ALL ON FUNCTION roost.count_by_day(timestamp[], timestamptz, timestamptz, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.count_by_day(timestamp[], timestamptz, timestamptz, text)
TO roost_api;

COMMENT ON FUNCTION roost.count_by_day(timestamp[], timestamptz, timestamptz, text) IS
'How many of some local times are on each day of a range of time.';

CREATE OR REPLACE FUNCTION roost.count_by_hour(p_local_times timestamp[])
RETURNS roost.hour_activity[]
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(
        ROW(clock.hour, coalesce(counted.message_count, 0))::roost.hour_activity
        ORDER BY clock.hour
    )
    FROM generate_series(0::bigint, 23) AS clock (hour)
    LEFT JOIN (
        SELECT extract(HOUR FROM sent.local_time)::bigint AS hour, count(*) AS message_count
        FROM unnest(p_local_times) AS sent (local_time)
        GROUP BY 1
    ) AS counted ON counted.hour = clock.hour;
$$;

REVOKE ALL ON FUNCTION roost.count_by_hour(timestamp[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.count_by_hour(timestamp[]) TO roost_api;

COMMENT ON FUNCTION roost.count_by_hour(timestamp[]) IS
'How many of some local times are in each hour of the day, 0 to 23.';

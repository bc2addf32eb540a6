-- A day that has rows in the default partition already gets no partition of its own any more: its
-- rows would have to be moved with all readers and writers shut out, for as long as that takes.
-- They stay where they are. Such a day is rare, since partitions are made days ahead.
CREATE OR REPLACE FUNCTION realtime.missing_partitions(p_days_ahead integer)
RETURNS SETOF date
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT wanted.day
    FROM (
        SELECT (now() AT TIME ZONE 'UTC')::date + ahead.days AS day
        FROM generate_series(0, p_days_ahead) AS ahead (days)
    ) AS wanted
    WHERE to_regclass(format('realtime.events_%s', to_char(wanted.day, 'YYYYMMDD'))) IS NULL
        AND NOT EXISTS (
            SELECT FROM realtime.events_default AS event
            WHERE event.created_at >= wanted.day::timestamp AT TIME ZONE 'UTC'
                AND event.created_at < (wanted.day + 1)::timestamp AT TIME ZONE 'UTC'
        )
    ORDER BY wanted.day;
$$;

REVOKE ALL ON FUNCTION realtime.missing_partitions(integer) FROM PUBLIC;

COMMENT ON FUNCTION realtime.missing_partitions(integer) IS
'Days (UTC), today and p_days_ahead more, whose event partition can be made and is not there.';

-- The default partition is never past retention as a whole, but events in it may be.
CREATE OR REPLACE FUNCTION realtime.old_partitions(p_retention interval)
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT child.relname::text
    FROM pg_inherits AS link
    JOIN pg_class AS child ON child.oid = link.inhrelid
    WHERE link.inhparent = 'realtime.events'::regclass
        AND child.relname ~ '^events_[0-9]{8}$'
        AND to_date(right(child.relname, 8), 'YYYYMMDD') + 1
        <= ((now() - p_retention) AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT 'events_default'
    WHERE EXISTS (
        SELECT FROM realtime.events_default AS event WHERE event.created_at < now() - p_retention
    );
$$;

REVOKE ALL ON FUNCTION realtime.old_partitions(interval) FROM PUBLIC;

COMMENT ON FUNCTION realtime.old_partitions(interval) IS
'Names of the event partitions whose last moment is past retention, and events_default when it
has events past retention.';

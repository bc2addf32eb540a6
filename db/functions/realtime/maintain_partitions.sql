-- Makes the partitions of the coming days and drops those past retention, a day at a time. The
-- advisory lock keeps two servers that run it at the same moment from making the same table.
-- Dropping needs the table to itself. While it waits for that behind a long reader, such as a
-- backup, every publisher waits behind it; so it gives up soon, and is tried again later.
CREATE OR REPLACE FUNCTION realtime.maintain_partitions(
    p_retention interval DEFAULT '7 days',
    p_days_ahead integer DEFAULT 7
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    v_today date := (now() AT TIME ZONE 'UTC')::date;
    v_day date;
    v_name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('roost:realtime.maintain_partitions', 0));

    FOR v_day IN
        SELECT (v_today + ahead.days)
        FROM generate_series(0, p_days_ahead) AS ahead (days)
    LOOP
        v_name := format('events_%s', to_char(v_day, 'YYYYMMDD'));
        CONTINUE WHEN to_regclass(format('realtime.%I', v_name)) IS NOT NULL;

        -- Made apart and attached, so that what the default partition took for this day can move.
        -- The lock keeps a writer from putting more there between the move and the attachment.
        LOCK TABLE realtime.events_default IN SHARE ROW EXCLUSIVE MODE;
        EXECUTE format(
            'CREATE TABLE realtime.%I (LIKE realtime.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
            v_name
        );
        EXECUTE format('ALTER TABLE realtime.%I ENABLE ROW LEVEL SECURITY', v_name);
        EXECUTE format(
            'WITH moved AS (DELETE FROM realtime.events_default AS event'
            ' WHERE event.created_at >= $1 AND event.created_at < $2 RETURNING event.*)'
            ' INSERT INTO realtime.%I SELECT moved.* FROM moved',
            v_name
        )
        USING v_day::timestamp AT TIME ZONE 'UTC', (v_day + 1)::timestamp AT TIME ZONE 'UTC';
        EXECUTE format(
            'ALTER TABLE realtime.events ATTACH PARTITION realtime.%I FOR VALUES FROM (%L) TO (%L)',
            v_name,
            v_day::timestamp AT TIME ZONE 'UTC',
            (v_day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END LOOP;

    FOR v_name IN
        SELECT child.relname
        FROM pg_inherits AS link
        JOIN pg_class AS child ON child.oid = link.inhrelid
        WHERE link.inhparent = 'realtime.events'::regclass
            AND child.relname ~ '^events_[0-9]{8}$'
            AND to_date(right(child.relname, 8), 'YYYYMMDD') + 1
            <= ((now() - p_retention) AT TIME ZONE 'UTC')::date
    LOOP
        EXECUTE format('DROP TABLE realtime.%I', v_name);
    END LOOP;

    DELETE FROM realtime.events_default AS event WHERE event.created_at < now() - p_retention;
END;
$$;

REVOKE ALL ON FUNCTION realtime.maintain_partitions(interval, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.maintain_partitions(interval, integer) TO roost_gateway;

COMMENT ON FUNCTION realtime.maintain_partitions(interval, integer) IS
'Makes the event partitions of the coming days and drops those past retention. The server calls it
when it starts and every hour; without a server, call it once a day. Errors: 55P03 (somebody reads
the table for long; try again).';

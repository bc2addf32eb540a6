-- One partition a call, in a transaction of its own. Attaching it takes the default partition for
-- itself until the transaction ends, to look through it, and a reader who has locked events waits
-- for that. Nothing may be waited for meanwhile that such a reader has, as would be the lock that
-- dropping a partition needs. Locks are taken in the readers' order, events before its partitions,
-- and given up soon: while one is waited for behind a long reader, such as a backup, others wait
-- behind it.
CREATE OR REPLACE FUNCTION realtime.make_partitions(p_days_ahead integer DEFAULT 7)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    v_days date[];
    v_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM realtime.missing_partitions(p_days_ahead)) THEN
        RETURN 0;
    END IF;

    LOCK TABLE ONLY realtime.events IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE realtime.events_default IN ACCESS EXCLUSIVE MODE;

    -- Asked again: until now somebody else could make it, or write to the default partition.
    v_days := ARRAY(
        SELECT missing.day FROM realtime.missing_partitions(p_days_ahead) AS missing (day)
    );

    IF cardinality(v_days) = 0 THEN
        RETURN 0;
    END IF;

    v_name := format('events_%s', to_char(v_days[1], 'YYYYMMDD'));

    -- Made apart and attached: made as a partition it would need events for itself.
    EXECUTE format(
        'CREATE TABLE realtime.%I (LIKE realtime.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        v_name
    );
    EXECUTE format('ALTER TABLE realtime.%I ENABLE ROW LEVEL SECURITY', v_name);
    EXECUTE format(
        'ALTER TABLE realtime.events ATTACH PARTITION realtime.%I FOR VALUES FROM (%L) TO (%L)',
        v_name,
        v_days[1]::timestamp AT TIME ZONE 'UTC',
        (v_days[1] + 1)::timestamp AT TIME ZONE 'UTC'
    );

    RETURN cardinality(v_days) - 1;
END;
$$;

REVOKE ALL ON FUNCTION realtime.make_partitions(integer) FROM PUBLIC;

COMMENT ON FUNCTION realtime.make_partitions(integer) IS
'Makes the event partition of the next day, from today to p_days_ahead days on, that has none, and
answers how many are left to make. Errors: 55P03 (somebody reads events for long; try again).';

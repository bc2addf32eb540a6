-- One partition a call, in a transaction of its own; see realtime.make_partitions. Dropping needs
-- events for itself: taken first, while nothing is held that somebody could wait for.
CREATE OR REPLACE FUNCTION realtime.drop_old_partitions(p_retention interval DEFAULT '7 days')
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    -- The oldest; events_default comes after all days.
    v_name text := (SELECT min(old.name) FROM realtime.old_partitions(p_retention) AS old (name));
BEGIN
    IF v_name = 'events_default' THEN
        -- It stays; what is past retention goes in bites of well below a second.
        DELETE FROM realtime.events_default AS event
        WHERE event.ctid = ANY (ARRAY(
            SELECT old.ctid
            FROM realtime.events_default AS old
            WHERE old.created_at < now() - p_retention
            LIMIT 10000
        ));
    ELSIF v_name IS NOT NULL THEN
        LOCK TABLE ONLY realtime.events IN ACCESS EXCLUSIVE MODE;
        -- Until now somebody else could drop it.
        EXECUTE format('DROP TABLE IF EXISTS realtime.%I', v_name);
    END IF;

    RETURN (SELECT count(*) FROM realtime.old_partitions(p_retention));
END;
$$;

REVOKE ALL ON FUNCTION realtime.drop_old_partitions(interval) FROM PUBLIC;

COMMENT ON FUNCTION realtime.drop_old_partitions(interval) IS
'Drops the oldest event partition whose last moment is past retention; when there is none, deletes
up to 10,000 events past retention from the default partition. Answers how many partitions are left
to drop or to clear. Errors: 55P03 (somebody reads events for long; try again).';

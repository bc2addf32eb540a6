-- One step a call and a transaction a step; realtime.make_partitions says why. Making comes first:
-- a partition that can't be dropped now keeps nobody from writing.
CREATE OR REPLACE FUNCTION realtime.maintain_partitions(
    p_retention interval DEFAULT '7 days',
    p_days_ahead integer DEFAULT 7
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Two servers at the same moment: one does it, and the other has nothing to do.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('roost:realtime.maintain_partitions', 0)) THEN
        RETURN 0;
    END IF;

    IF EXISTS (SELECT FROM realtime.missing_partitions(p_days_ahead)) THEN
        RETURN realtime.make_partitions(p_days_ahead)
            + (SELECT count(*) FROM realtime.old_partitions(p_retention));
    END IF;

    RETURN realtime.drop_old_partitions(p_retention);
END;
$$;

REVOKE ALL ON FUNCTION realtime.maintain_partitions(interval, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.maintain_partitions(interval, integer) TO roost_gateway;

COMMENT ON FUNCTION realtime.maintain_partitions(interval, integer) IS
'Makes the event partition of one coming day that has none, or else drops one past retention, and
answers how many such steps are left: call it again, each time in a transaction of its own, until it
answers 0. The server does so when it starts and every hour; without a server, let cron do it.
Errors: 55P03 (somebody reads events for long; try again).';

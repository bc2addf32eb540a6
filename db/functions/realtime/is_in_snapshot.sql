-- One expression, which the planner puts into the statement.
--
-- A row says who wrote it last in 32 bits. That is at most what is taken for it here: the same 32
-- bits, as late as could be at all. So a yes is certain; a no may be about a row that is very old.
-- It may name a savepoint, whose transaction has a smaller id, and is then over too.
CREATE OR REPLACE FUNCTION realtime.is_in_snapshot(p_written_by xid, p_snapshot pg_snapshot)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN (
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 2147483648
    - (
        (
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 2147483648
            - p_written_by::text::bigint
        ) & 4294967295
    )
) < pg_snapshot_xmin(p_snapshot)::text::bigint;

REVOKE ALL ON FUNCTION realtime.is_in_snapshot(xid, pg_snapshot) FROM PUBLIC;

COMMENT ON FUNCTION realtime.is_in_snapshot(xid, pg_snapshot) IS
'Whether a row, by its xmin, is certain to have been as it is in a snapshot. Where the row gives out
the offsets of a topic, nothing has come in the topic since.';

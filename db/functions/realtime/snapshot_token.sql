-- A token stands for a set of transactions: those that had ended. So it is right about one that was
-- open then and commits later, which no offset, time or transaction id alone is.
--
-- It outlives a crash of the server. Only a commit is certain to be on disk when it is seen, so
-- after a crash ids may be given out again that had been rolled back behind the last commit. The
-- token ends behind a commit; whoever wrote no event is not missed. That leaves commits that do not
-- wait for the disk, as of NOTIFY alone: until the next that does, or some 0.6 seconds later at
-- most, a crash can have the id of such a one given out again.
CREATE OR REPLACE FUNCTION realtime.snapshot_token()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Of the transactions that are open. With more, it ends before the next one, and begins to be
    -- sure of less: a client is sent some events once more that are from before its join.
    c_most CONSTANT integer := 16;
    v_snapshot pg_snapshot := pg_current_snapshot();
    v_end bigint := pg_snapshot_xmax(v_snapshot)::text::bigint;
    v_open bigint[];
BEGIN
    -- Of what was long ago nothing is known: it is on disk.
    WHILE pg_xact_status((v_end - 1)::text::xid8) IN ('aborted', 'in progress') LOOP
        v_end := v_end - 1;
    END LOOP;

    v_open := ARRAY(
        SELECT open_one.xid::text::bigint
        FROM pg_snapshot_xip(v_snapshot) AS open_one (xid)
        WHERE open_one.xid::text::bigint < v_end
        ORDER BY open_one.xid
        LIMIT c_most + 1
    );

    RETURN array_to_string(
        coalesce(v_open[c_most + 1], v_end) || v_open[:c_most], '.'
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.snapshot_token() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.snapshot_token() TO roost_api;

COMMENT ON FUNCTION realtime.snapshot_token() IS
'What is there now, for realtime.read_snapshot_token(): all transactions before the first number
but those that follow it, which are open. At most 16 follow.';

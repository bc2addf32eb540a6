-- Tells the relays that a topic has something new, or passes them an ephemeral event (see
-- realtime.broadcast) or a control line ("!session:<id>" closes that session's sockets,
-- "!device:<session id>:<device id>" says that the session is on that device now,
-- "!subscriptions:<user id>" has that person's event subscriptions read again, "!presence" has it
-- read again who is present in channels). The server finds the line in roost.touched when the call
-- returns, wakes its own relay and notifies the other servers outside this transaction: a
-- transaction that notifies holds a lock over its flush that all such transactions of the cluster
-- share, which ends group commit. Whoever writes without the server (psql, cron) notifies in its
-- transaction, since nothing else would.
CREATE OR REPLACE FUNCTION realtime.wake(p_line text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('roost.gateway', true) = 'on' THEN
        PERFORM set_config(
            'roost.touched',
            concat_ws(E'\n', nullif(current_setting('roost.touched', true), ''), p_line),
            true
        );
    ELSE
        PERFORM pg_notify('roost_events', E'\n' || p_line);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION realtime.wake(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.wake(text) TO roost_api;

COMMENT ON FUNCTION realtime.wake(text) IS
'Tells the relays, after commit, that a topic has something new.';

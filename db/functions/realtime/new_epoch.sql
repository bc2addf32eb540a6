-- A notification without a line makes every relay look at everything that it could have missed, the
-- epoch included. It goes out with this transaction, also on a connection of the server.
CREATE OR REPLACE FUNCTION realtime.new_epoch()
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_epoch text;
BEGIN
    UPDATE realtime.log AS log
    SET epoch = left(replace(gen_random_uuid()::text, '-', ''), 12)
    RETURNING log.epoch INTO STRICT v_epoch;

    PERFORM pg_notify('roost_events', '');

    RETURN v_epoch;
END;
$$;

REVOKE ALL ON FUNCTION realtime.new_epoch() FROM PUBLIC;

COMMENT ON FUNCTION realtime.new_epoch() IS
'Gives the event log a new epoch and answers it: every subscriber is told to read the state again,
and every offset given out before is refused with RO403. To be called by whoever has restored the
database from a backup, as its owner or as roost_owner; offsets are about to be given out again.';

-- Guards what a person decides about an operation against the worker that carries it out: the
-- second of the two waits, and finds what the first has made of it. Runs as the owner, since a
-- device counts for itself alone.
CREATE OR REPLACE FUNCTION roost.lock_offline_queue(p_device_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT FROM roost.sync_devices AS known
    WHERE known.device_id = p_device_id AND known.user_id = roost.current_user_id()
    FOR NO KEY UPDATE;
$$;

REVOKE ALL ON FUNCTION roost.lock_offline_queue(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_offline_queue(uuid) TO roost_api;

COMMENT ON FUNCTION roost.lock_offline_queue(uuid) IS
'Locks the queue of a device of the caller''s to the end of the transaction, whichever device
calls.';

-- The device is locked before: an acknowledgement that came first is waited for, and forgotten; one
-- that comes later finds its cursor to be of before.
CREATE OR REPLACE FUNCTION api.reset_changes()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_device_id uuid;
BEGIN
    PERFORM roost.require_user();

    PERFORM FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
    FOR UPDATE;

    v_device_id := roost.require_sync_device();

    INSERT INTO roost.sync_devices AS known (device_id, user_id, generation)
    VALUES (v_device_id, roost.current_user_id(), 1)
    ON CONFLICT ON CONSTRAINT sync_devices_pkey
    DO UPDATE SET generation = known.generation + 1;

    DELETE FROM roost.sync_scopes AS stored WHERE stored.device_id = v_device_id;
END;
$$;

ALTER FUNCTION api.reset_changes() OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.reset_changes() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.reset_changes() TO roost_user;

COMMENT ON FUNCTION api.reset_changes() IS
'Forgets how far the calling device has come, so that pull_changes gives it everything anew. For a
device that has lost its data, or a cursor but not what came with it. Cursors from before are
refused. What it has sent by push_operations stays known.

Callers: signed-in people, on a device.
Returns: nothing.
Errors: RO101, RO302 (the session has no device).
Example: POST /rpc/reset_changes {}';

-- Guards all that the device has sent: of two that take, enqueue or carry out operations of one
-- device the second waits here, and finds what the first has done. The device is locked before, so
-- a revocation waits too, and what comes behind it does nothing.
CREATE OR REPLACE FUNCTION roost.lock_sync_device()
RETURNS roost.sync_devices
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_known roost.sync_devices;
BEGIN
    -- As roost.sync_devices would by its foreign key, but before it refuses: since the call began,
    -- register_device may have removed the device, or revoke_device shut it out.
    PERFORM FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
        AND device.user_id = roost.current_user_id()
        AND device.status = 'active'
    FOR KEY SHARE;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The session has no device whose operations these could be.',
            DETAIL = format('Session: %s', roost.current_session_id()),
            HINT = 'Give the session one with register_device.';
    END IF;

    INSERT INTO roost.sync_devices AS known (device_id, user_id)
    VALUES (roost.current_device_id(), roost.current_user_id())
    ON CONFLICT ON CONSTRAINT sync_devices_pkey
    DO UPDATE SET updated_at = now()
    RETURNING known.* INTO STRICT v_known;

    RETURN v_known;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_sync_device() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_sync_device() TO roost_api;

COMMENT ON FUNCTION roost.lock_sync_device() IS
'The row of the calling device in roost.sync_devices, made where there is none and locked to the
end of the transaction. Raises RO302 where the session has no device.';

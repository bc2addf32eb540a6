CREATE OR REPLACE FUNCTION api.revoke_device(device_id uuid)
RETURNS roost.device
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device roost.devices;
    v_event json;
    v_offset bigint;
BEGIN
    -- The lock makes a sign-in on this device wait, and of two revocations the second find it done.
    SELECT device.*
    INTO v_device
    FROM roost.devices AS device
    WHERE device.id = revoke_device.device_id AND device.user_id = v_user_id
    FOR UPDATE;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such device.',
            DETAIL = format('Device: %s', coalesce(revoke_device.device_id::text, 'null')),
            HINT = 'Send the id of a device from list_devices.';
    END IF;

    IF v_device.status = 'active' THEN
        -- Told first, cut off second: the trigger on the status closes the device's sockets. It is
        -- the lock order too (roost.revoke_sessions).
        v_event := json_build_object('device_id', v_device.id, 'device_name', v_device.device_name);
        PERFORM realtime.publish(format('device:%s', v_device.id), 'device.revoked', v_event);
        v_offset := realtime.publish(format('user:%s', v_user_id), 'device.revoked', v_event);

        UPDATE roost.devices AS device
        SET status = 'revoked',
            change_seq = v_offset
        WHERE device.id = v_device.id
        RETURNING device.* INTO STRICT v_device;
    END IF;

    RETURN roost.describe_device(v_device);
END;
$$;

ALTER FUNCTION api.revoke_device(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.revoke_device(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.revoke_device(uuid) TO roost_user;

COMMENT ON FUNCTION api.revoke_device(uuid) IS
'Shuts a device out for good: ends its sessions, closes its sockets and its extension connections,
deletes the device messages that wait for it or that it has sent. device.revoked goes to device:<id>
and user:<id>. Revoking it again changes nothing.

Callers: signed-in people.
Arguments: device_id, a device of the caller''s; the one that calls may be named too.
Returns: the device, an object.
Errors: RO101, RO201 (not your device).
Example: POST /rpc/revoke_device {"device_id": "<id>"}';

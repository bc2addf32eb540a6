CREATE OR REPLACE FUNCTION api.register_device(
    device_name text,
    device_type roost.device_type,
    platform text DEFAULT NULL,
    capabilities jsonb DEFAULT NULL,
    device_id uuid DEFAULT NULL
)
RETURNS roost.device
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_old_id uuid := roost.current_device_id();
    v_inbox text := format('user:%s', v_user_id);
    v_offset bigint;
    v_device roost.devices;
BEGIN
    -- Both devices are locked before the session, in the order of their ids: two sessions that swap
    -- devices can't wait for each other, and a device that is revoked at the same moment either
    -- takes this session with it or is not active here.
    PERFORM
    FROM roost.devices AS device
    WHERE device.id IN (v_old_id, register_device.device_id) AND device.user_id = v_user_id
    ORDER BY device.id
    FOR UPDATE;

    -- With the devices locked, and before the session is touched; the lock order is in
    -- roost.revoke_sessions.
    v_offset := realtime.take_offset(v_inbox);

    UPDATE roost.devices AS device
    SET device_name = register_device.device_name,
        device_type = register_device.device_type,
        platform = coalesce(register_device.platform, device.platform),
        capabilities = coalesce(register_device.capabilities, device.capabilities),
        last_seen = now(),
        change_seq = v_offset
    WHERE device.id = coalesce(register_device.device_id, v_old_id)
        AND device.user_id = v_user_id
        AND device.status = 'active'
    RETURNING device.* INTO v_device;

    IF NOT FOUND THEN
        PERFORM roost.refuse_device(register_device.device_id);
    END IF;

    -- The rest of this transaction comes from the device that the session is on then.
    PERFORM set_config('roost.device_id', v_device.id::text, true);

    PERFORM realtime.append(
        v_inbox,
        v_offset,
        'device.registered',
        json_build_object(
            'device_id', v_device.id,
            'device_name', v_device.device_name,
            'device_type', v_device.device_type,
            'platform', v_device.platform,
            'capabilities', v_device.capabilities
        )
    );

    IF v_device.id <> v_old_id THEN
        UPDATE roost.sessions AS session
        SET device_id = v_device.id
        WHERE session.id = roost.current_session_id();

        PERFORM roost.remove_unused_device(v_old_id);
        -- What is for the old device is not for this one.
        PERFORM realtime.wake(
            format('!device:%s:%s', roost.current_session_id(), v_device.id)
        );
    END IF;

    RETURN roost.describe_device(v_device);
END;
$$;

ALTER FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid)
TO roost_user;

COMMENT ON FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid) IS
'Names the device of the calling session; with device_id, moves the session onto a device that the
person already has, and removes the one that signing in made when nothing refers to it. The
person''s devices get device.registered on user:<id>.

Callers: signed-in people.
Arguments: device_name, at most 100 characters. device_type, one of phone, tablet, laptop, desktop,
editor, browser, server, other. platform, at most 200 characters, and capabilities, an object of at
most 64 KiB: what is left out stays as it is. device_id, an active device of the caller''s.
Returns: the device, an object.
Errors: RO101, RO201 (not your device, or revoked), 22P02 (unknown device_type), 23514 (a value does
not fit).
Example: POST /rpc/register_device {"device_name": "Laptop", "device_type": "laptop"}';

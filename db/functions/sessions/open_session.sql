CREATE OR REPLACE FUNCTION roost.open_session(
    p_user roost.users,
    p_refresh_token_hash bytea,
    p_lifetime interval,
    p_user_agent text,
    p_device jsonb
)
RETURNS roost.signed_in
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_device roost.device_description := jsonb_populate_record(
        NULL::roost.device_description, coalesce(p_device, '{}')
    );
    v_session_id uuid;
BEGIN
    IF v_device.device_id IS NULL THEN
        INSERT INTO roost.devices AS device (
            user_id, device_name, device_type, platform, capabilities
        )
        VALUES (
            p_user.id,
            coalesce(v_device.device_name, ''),
            coalesce(v_device.device_type, 'other'),
            coalesce(v_device.platform, left(p_user_agent, 200)),
            coalesce(v_device.capabilities, '{}')
        )
        RETURNING device.id INTO v_device.device_id;

        -- The person's other devices are told; a new person has none. Before the session is made;
        -- the lock order is in roost.revoke_sessions.
        IF EXISTS (
            SELECT FROM roost.devices AS other
            WHERE other.user_id = p_user.id AND other.id <> v_device.device_id
        ) THEN
            UPDATE roost.devices AS device
            SET change_seq = realtime.publish(
                format('user:%s', p_user.id),
                'device.added',
                roost.device_event(device)
            )
            WHERE device.id = v_device.device_id;
        END IF;
    ELSE
        -- Locks the device before the session is made. A revocation at the same moment has either
        -- committed, and the device is not active here, or waits and then ends the new session too.
        UPDATE roost.devices AS device
        SET device_name = coalesce(v_device.device_name, device.device_name),
            device_type = coalesce(v_device.device_type, device.device_type),
            platform = coalesce(v_device.platform, device.platform),
            capabilities = coalesce(v_device.capabilities, device.capabilities),
            last_seen = now()
        WHERE device.id = v_device.device_id
            AND device.user_id = p_user.id
            AND device.status = 'active';

        IF NOT FOUND THEN
            PERFORM roost.refuse_device(v_device.device_id);
        END IF;
    END IF;

    INSERT INTO roost.sessions AS session (
        user_id, device_id, refresh_token_hash, user_agent, expires_at
    )
    VALUES (
        p_user.id,
        v_device.device_id,
        p_refresh_token_hash,
        left(p_user_agent, 200),
        now() + p_lifetime
    )
    RETURNING session.id INTO v_session_id;

    RETURN (v_session_id, v_device.device_id, roost.describe_auth_user(p_user))::roost.signed_in;
END;
$$;

REVOKE ALL ON FUNCTION roost.open_session(roost.users, bytea, interval, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION roost.open_session(roost.users, bytea, interval, text, jsonb) IS
'Makes a session of a person who has proved who they are, on the device that p_device (a
roost.device_description as JSON) names, or on a new one. Errors: RO201 (no such device of
theirs).';

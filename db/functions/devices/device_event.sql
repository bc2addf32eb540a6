-- Without current, which depends on who asks, and last_seen, which moves all the time.
CREATE OR REPLACE FUNCTION roost.device_event(p_device roost.devices)
RETURNS json
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT json_build_object(
        'device_id', p_device.id,
        'device_name', p_device.device_name,
        'device_type', p_device.device_type,
        'platform', p_device.platform,
        'capabilities', p_device.capabilities,
        'status', p_device.status
    );
$$;

REVOKE ALL ON FUNCTION roost.device_event(roost.devices) FROM PUBLIC;

COMMENT ON FUNCTION roost.device_event(roost.devices) IS
'What the events device.added and device.updated carry.';

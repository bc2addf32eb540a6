CREATE OR REPLACE FUNCTION roost.refuse_device(p_device_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RO201',
        MESSAGE = 'You have no such device, or it was revoked.',
        DETAIL = format('Device: %s', coalesce(p_device_id::text, 'null')),
        HINT = 'Leave device_id out to get a new one, or send one from list_devices.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_device(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.refuse_device(uuid) TO roost_api;

COMMENT ON FUNCTION roost.refuse_device(uuid) IS 'Raises RO201 about a device.';

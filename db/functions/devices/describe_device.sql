CREATE OR REPLACE FUNCTION roost.describe_device(p_device roost.devices)
RETURNS roost.device
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_device.id,
        p_device.device_name,
        p_device.device_type,
        p_device.platform,
        p_device.capabilities::jsonb,
        p_device.status,
        coalesce(p_device.id = roost.current_device_id(), false),
        p_device.last_seen,
        p_device.created_at,
        p_device.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_device(roost.devices) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_device(roost.devices) TO roost_api;

COMMENT ON FUNCTION roost.describe_device(roost.devices) IS
'A device as its owner sees it; current says whether the call comes from it.';

CREATE OR REPLACE FUNCTION roost.sync_generation()
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (
            SELECT known.generation
            FROM roost.sync_devices AS known
            WHERE known.device_id = roost.current_device_id()
                AND known.user_id = roost.current_user_id()
        ),
        0
    );
$$;

REVOKE ALL ON FUNCTION roost.sync_generation() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.sync_generation() TO roost_api;

COMMENT ON FUNCTION roost.sync_generation() IS
'How often the calling device has begun anew by reset_changes.';

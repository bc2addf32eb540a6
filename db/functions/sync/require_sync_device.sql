CREATE OR REPLACE FUNCTION roost.require_sync_device()
RETURNS uuid
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_device_id uuid := (
        SELECT device.id
        FROM roost.devices AS device
        WHERE device.id = roost.current_device_id() AND device.status = 'active'
    );
BEGIN
    IF v_device_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The session has no device that could have received anything.',
            DETAIL = format('Session: %s', roost.current_session_id()),
            HINT = 'Give the session one with register_device.';
    END IF;

    RETURN v_device_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_sync_device() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_sync_device() TO roost_api;

COMMENT ON FUNCTION roost.require_sync_device() IS
'The calling device. Raises RO302 where there is none, or it was revoked since the call began.';

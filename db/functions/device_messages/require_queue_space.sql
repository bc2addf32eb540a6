-- Runs as the owner: what other devices have sent is not the caller's to see. To be called with the
-- receiving device locked, so that two senders can't both take the last place. Goes through the
-- index alone, 1,000 entries at most.
CREATE OR REPLACE FUNCTION roost.require_queue_space(p_device_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM roost.device_messages AS message
        WHERE message.to_device_id = p_device_id
            AND message.user_id = roost.current_user_id()
            AND message.expires_at > now()
        OFFSET 999
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO205',
            MESSAGE = 'The queue of this device is full.',
            DETAIL = format('Device: %s; messages that wait: 1000', p_device_id),
            HINT = 'Let the device acknowledge what it has received, or cancel what you have sent.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_queue_space(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_queue_space(uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_queue_space(uuid) IS
'Raises RO205 when 1,000 messages wait for a device of the caller''s.';

-- Owned by the tables' owner: row-level security would hide uses that the caller may not see, and a
-- device would be taken from messages in a conversation that the person has left. Sessions that are
-- over count as uses: they would be deleted with the device, out of the lock order, which is by id
-- (roost.revoke_sessions).
CREATE OR REPLACE FUNCTION roost.remove_unused_device(p_device_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM roost.devices AS device
    WHERE device.id = p_device_id
        AND device.user_id = roost.current_user_id()
        AND device.device_name = ''
        AND device.device_type = 'other'
        AND NOT EXISTS (
            SELECT FROM roost.sessions AS session
            WHERE session.device_id = device.id AND session.user_id = device.user_id
        )
        AND NOT EXISTS (
            SELECT FROM roost.extension_connections AS connection
            WHERE connection.device_id = device.id AND connection.user_id = device.user_id
        )
        AND NOT EXISTS (
            SELECT FROM roost.messages AS message WHERE message.device_id = device.id
        )
        AND NOT EXISTS (
            SELECT FROM roost.device_messages AS waiting
            WHERE waiting.to_device_id = device.id AND waiting.user_id = device.user_id
        )
        AND NOT EXISTS (
            SELECT FROM roost.device_messages AS waiting
            WHERE waiting.from_device_id = device.id AND waiting.user_id = device.user_id
        )
        -- It counts its operations on from where it is.
        AND NOT EXISTS (
            SELECT FROM roost.sync_devices AS known
            WHERE known.device_id = device.id AND known.user_id = device.user_id
        );
$$;

REVOKE ALL ON FUNCTION roost.remove_unused_device(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.remove_unused_device(uuid) TO roost_api;

COMMENT ON FUNCTION roost.remove_unused_device(uuid) IS
'Removes a device of the caller''s that a sign-in made by itself, that was never named, and that
nothing refers to. Otherwise does nothing.';

CREATE OR REPLACE TRIGGER devices_set_updated_at
BEFORE UPDATE ON roost.devices
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

-- Whoever opens a session or a connection on a device, or sends it a message, locks the device's
-- row first, so none comes after this.
CREATE OR REPLACE FUNCTION roost.end_use_of_device()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What waits for it, and what it has sent: whoever has stolen it gets nothing more carried out.
    -- Who holds one of these holds the device, so after revoke_device this waits for nobody. The
    -- other devices have device.revoked: to tell each on its own topic would be out of the order.
    DELETE FROM roost.device_messages AS message
    WHERE message.id = ANY (ARRAY(
        SELECT waiting.id
        FROM roost.device_messages AS waiting
        WHERE waiting.user_id = NEW.user_id
            AND (waiting.to_device_id = NEW.id OR waiting.from_device_id = NEW.id)
        ORDER BY waiting.id
        FOR UPDATE
    ));

    PERFORM roost.revoke_sessions(NEW.user_id, p_device_id => NEW.id);

    UPDATE roost.extension_connections AS connection
    SET state = 'closed',
        closed_at = now()
    WHERE connection.device_id = NEW.id
        AND connection.user_id = NEW.user_id
        AND connection.state <> 'closed';

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_use_of_device() FROM PUBLIC;

COMMENT ON FUNCTION roost.end_use_of_device() IS
'Trigger: a revoked device has no living session, no open extension connection, and no message that
waits for it or is from it.';

CREATE OR REPLACE TRIGGER devices_end_use
AFTER UPDATE OF status ON roost.devices
FOR EACH ROW
WHEN (OLD.status = 'active' AND NEW.status = 'revoked')
EXECUTE FUNCTION roost.end_use_of_device();

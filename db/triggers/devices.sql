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

    -- Where it was is nothing that anybody comes back to. Whoever acknowledges holds the device.
    DELETE FROM roost.device_cursors AS cursor WHERE cursor.device_id = NEW.id;
    DELETE FROM roost.sync_scopes AS stored WHERE stored.device_id = NEW.id;

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
'Trigger: a revoked device has no living session, no open extension connection, no message that
waits for it or is from it, and no cursor.';

CREATE OR REPLACE TRIGGER devices_end_use
AFTER UPDATE OF status ON roost.devices
FOR EACH ROW
WHEN (OLD.status = 'active' AND NEW.status = 'revoked')
EXECUTE FUNCTION roost.end_use_of_device();

-- Whoever writes, a sign-in on a device that is known or an operator: the person's devices are
-- told, and the device has the offset of that. Functions that publish an event of their own have
-- written its offset already. last_seen is no change. Before the row is written, for there is
-- nothing that waits for the inbox and holds a device.
CREATE OR REPLACE FUNCTION roost.announce_device()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.change_seq := realtime.publish(
        format('user:%s', NEW.user_id), 'device.updated', roost.device_event(NEW)
    );

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_device() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_device() IS
'Trigger: a change of a device is told in its person''s inbox.';

-- Column by column: a comparison of rows is another expression after a dump is restored.
CREATE OR REPLACE TRIGGER devices_announce
BEFORE UPDATE OF device_name, device_type, platform, capabilities, status ON roost.devices
FOR EACH ROW
WHEN (
    OLD.change_seq = NEW.change_seq
    AND (
        OLD.device_name IS DISTINCT FROM NEW.device_name
        OR OLD.device_type IS DISTINCT FROM NEW.device_type
        OR OLD.platform IS DISTINCT FROM NEW.platform
        OR OLD.capabilities IS DISTINCT FROM NEW.capabilities
        OR OLD.status IS DISTINCT FROM NEW.status
    )
)
EXECUTE FUNCTION roost.announce_device();

-- Nothing is left that could say when it went, so whoever was here before reads all of them anew.
-- With its person it goes without a word.
CREATE OR REPLACE FUNCTION roost.announce_removed_device()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_inbox text := format('user:%s', OLD.user_id);
    v_offset bigint;
BEGIN
    IF EXISTS (SELECT FROM roost.users AS account WHERE account.id = OLD.user_id) THEN
        v_offset := realtime.publish(
            v_inbox, 'device.removed', json_build_object('device_id', OLD.id)
        );

        UPDATE realtime.topics AS topic
        SET removed_offset = v_offset
        WHERE topic.topic = v_inbox;
    END IF;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_removed_device() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_removed_device() IS
'Trigger: a device that goes is told in its person''s inbox.';

CREATE OR REPLACE TRIGGER devices_announce_removed
AFTER DELETE ON roost.devices
FOR EACH ROW
EXECUTE FUNCTION roost.announce_removed_device();

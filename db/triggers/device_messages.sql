-- However a message goes (acknowledged, cancelled, past its time, with its device, by an operator),
-- what it said goes from the log as well.
CREATE OR REPLACE FUNCTION roost.redact_device_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_outcome roost.device_message_outcomes;
BEGIN
    SELECT outcome.*
    INTO v_outcome
    FROM roost.device_message_outcomes AS outcome
    WHERE outcome.from_device_id = OLD.from_device_id
        AND outcome.user_id = OLD.user_id
        AND outcome.id = OLD.id;

    -- It went with a device: nobody is left to ask.
    IF NOT FOUND THEN
        v_outcome.id := OLD.id;
        v_outcome.from_device_id := OLD.from_device_id;
        v_outcome.to_device_id := OLD.to_device_id;
        v_outcome.number := OLD.number;
        v_outcome.state := 'cancelled';
        v_outcome.created_at := OLD.created_at;
        v_outcome.expires_at := OLD.expires_at;
    END IF;

    PERFORM realtime.redact(
        format('device:%s', OLD.to_device_id),
        ARRAY[OLD.number],
        row_to_json(roost.describe_device_message_outcome(v_outcome))
    );

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.redact_device_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.redact_device_message() IS
'Trigger: the stored event of a message that has gone says nothing of what it said.';

CREATE OR REPLACE TRIGGER device_messages_redact
AFTER DELETE ON roost.device_messages
FOR EACH ROW
EXECUTE FUNCTION roost.redact_device_message();

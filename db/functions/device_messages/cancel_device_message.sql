CREATE OR REPLACE FUNCTION api.cancel_device_message(id uuid)
RETURNS roost.device_message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_outcome roost.device_message_outcomes;
BEGIN
    PERFORM roost.finish_device_messages(ARRAY[cancel_device_message.id], 'cancelled');

    SELECT outcome.*
    INTO v_outcome
    FROM roost.device_message_outcomes AS outcome
    WHERE outcome.from_device_id = roost.current_device_id()
        AND outcome.user_id = v_user_id
        AND outcome.id = cancel_device_message.id;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'This device has sent no such message, or long ago.',
            DETAIL = format('Message: %s', coalesce(cancel_device_message.id::text, 'null')),
            HINT = 'Send the id that send_device_message answered on this device.';
    END IF;

    RETURN roost.describe_device_message_outcome(v_outcome);
END;
$$;

ALTER FUNCTION api.cancel_device_message(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.cancel_device_message(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.cancel_device_message(uuid) TO roost_user;

COMMENT ON FUNCTION api.cancel_device_message(uuid) IS
'Takes back a message that the calling device has sent and that still waits: it is deleted, from
stored events too, and the receiving device gets device_message.cancelled on device:<id>, with id
and device_id. One that waits no longer stays what it is: state says what became of it.

Callers: signed-in people.
Arguments: id, of a message that the calling device has sent, and that has not gone over 7 days ago.
Returns: the message, an object, whose message_type, payload and reply_to are null.
Errors: RO101, RO201 (no such message of this device''s).
Example: POST /rpc/cancel_device_message {"id": "<id>"}';

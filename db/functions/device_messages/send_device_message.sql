CREATE OR REPLACE FUNCTION api.send_device_message(
    device_id uuid,
    message_type text,
    payload jsonb DEFAULT '{}',
    id uuid DEFAULT NULL,
    reply_to uuid DEFAULT NULL,
    ttl_seconds integer DEFAULT 86400
)
RETURNS roost.device_message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device_id uuid := roost.current_device_id();
    v_topic text := format('device:%s', send_device_message.device_id);
    -- Of its domain from here on, so that what is compared is of a bounded size.
    v_payload roost.json_object := send_device_message.payload::roost.json_object;
    v_lasts interval := make_interval(secs => send_device_message.ttl_seconds::double precision);
    v_active uuid[];
    v_stored roost.device_messages;
    v_outcome roost.device_message_outcomes;
    v_number bigint;
    v_message roost.device_message;
BEGIN
    -- Both, in the order of their ids: two devices that send to each other can't wait for each
    -- other. A revocation either has committed, and the device is not active here, or waits and
    -- takes this message with it.
    v_active := ARRAY(
        SELECT device.id
        FROM roost.devices AS device
        WHERE device.id IN (v_device_id, send_device_message.device_id)
            AND device.user_id = v_user_id
            AND device.status = 'active'
        ORDER BY device.id
        FOR NO KEY UPDATE
    );

    IF (v_device_id = ANY (v_active)) IS NOT TRUE THEN
        PERFORM roost.refuse_device(v_device_id);
    ELSIF (send_device_message.device_id = ANY (v_active)) IS NOT TRUE THEN
        PERFORM roost.refuse_device(send_device_message.device_id);
    END IF;

    IF send_device_message.id IS NOT NULL THEN
        SELECT message.*
        INTO v_stored
        FROM roost.device_messages AS message
        WHERE message.id = send_device_message.id;

        IF FOUND THEN
            IF (
                v_stored.from_device_id, v_stored.to_device_id, v_stored.message_type,
                v_stored.payload, v_stored.reply_to, v_stored.expires_at - v_stored.created_at
            ) IS DISTINCT FROM (
                v_device_id, send_device_message.device_id, send_device_message.message_type,
                v_payload, send_device_message.reply_to, v_lasts
            ) THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'RO301',
                    MESSAGE = 'This id already stands for another message.',
                    DETAIL = format('Id: %s', send_device_message.id),
                    HINT = 'Make a new id for a new message; send the same body to repeat one.';
            END IF;

            -- Whoever sends again was not answered, perhaps because the server died right behind
            -- the commit: then nobody has told the relays.
            PERFORM realtime.wake(v_topic);

            RETURN roost.describe_device_message(v_stored);
        END IF;

        -- After that, not before: what goes at this moment is found in one place or the other.
        -- Nothing is known any more of what it said.
        SELECT outcome.*
        INTO v_outcome
        FROM roost.device_message_outcomes AS outcome
        WHERE outcome.from_device_id = v_device_id
            AND outcome.user_id = v_user_id
            AND outcome.id = send_device_message.id;

        IF FOUND THEN
            RETURN roost.describe_device_message_outcome(v_outcome);
        END IF;
    END IF;

    IF EXISTS (
        SELECT
        FROM roost.device_messages AS original
        WHERE original.id = send_device_message.reply_to
            AND (original.from_device_id, original.to_device_id)
            IS DISTINCT FROM (send_device_message.device_id, v_device_id)
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'A reply goes to the device that sent the message.',
            DETAIL = format('Message: %s', send_device_message.reply_to),
            HINT = 'Send its from_device_id as device_id, and the id of a message to this device.';
    END IF;

    PERFORM roost.require_queue_space(send_device_message.device_id);

    v_number := realtime.take_offset(v_topic);

    INSERT INTO roost.device_messages AS message (
        id, user_id, from_device_id, to_device_id, number, message_type, payload, reply_to,
        expires_at
    )
    VALUES (
        coalesce(send_device_message.id, roost.uuid_v7()),
        v_user_id,
        v_device_id,
        send_device_message.device_id,
        v_number,
        send_device_message.message_type,
        v_payload,
        send_device_message.reply_to,
        now() + v_lasts
    )
    RETURNING (roost.describe_device_message(message)).* INTO v_message;

    PERFORM realtime.append(
        v_topic, v_number, 'device_message.created', row_to_json(v_message)
    );

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.send_device_message(uuid, text, jsonb, uuid, uuid, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.send_device_message(uuid, text, jsonb, uuid, uuid, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.send_device_message(uuid, text, jsonb, uuid, uuid, integer)
TO roost_user;

COMMENT ON FUNCTION api.send_device_message(uuid, text, jsonb, uuid, uuid, integer) IS
'Puts a message into the queue of a device of the caller''s, where it waits until that device
acknowledges it, this one cancels it, or its time is over. The receiving device gets
device_message.created on device:<id>, and this one then device_message.acknowledged or
device_message.expired on its own. At most 1,000 messages wait for a device.

Callers: signed-in people.
Arguments: device_id, the receiving device. message_type, lower case, at most 64 characters.
payload, an object of at most 64 KiB. id, a UUID made by the client: sent again by the same device
with the same body it answers the first message, or within 7 days what became of it, instead of
sending a second. reply_to, id of the message to this device that this one answers; it may be gone.
ttl_seconds, how long it waits, 1 second to 30 days.
Returns: the message, an object. state is waiting, acknowledged, cancelled or expired; message_type,
payload and reply_to of one that waits no longer are null.
Errors: RO101, RO201 (not your device, or revoked), RO205 (the queue is full), RO301 (the id has
another body), RO302 (reply_to is not from that device to this one), 23502 (a value is null), 23505
(the id is taken), 23514 (a value does not fit).
Example: POST /rpc/send_device_message {"device_id": "<id>", "message_type": "command.run",
"payload": {"command": "make test"}}';

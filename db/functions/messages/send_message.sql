CREATE OR REPLACE FUNCTION api.send_message(
    conversation_id uuid,
    content jsonb,
    message_type text DEFAULT 'text',
    metadata jsonb DEFAULT '{}',
    parent_message_id uuid DEFAULT NULL,
    id uuid DEFAULT NULL
)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_message roost.message;
    v_seq bigint;
BEGIN
    IF send_message.id IS NOT NULL THEN
        PERFORM roost.require_role(send_message.conversation_id, 'member');

        -- The same id sent twice at once, as by a client that timed out and tries again: the second
        -- waits here until the first has committed, and then finds its message.
        PERFORM FROM roost.conversations AS conversation
        WHERE conversation.id = send_message.conversation_id
        FOR UPDATE;

        SELECT (roost.describe_message(message)).*
        INTO v_message
        FROM roost.messages AS message
        WHERE message.id = send_message.id;

        IF FOUND THEN
            IF (
                v_message.conversation_id, v_message.user_id, v_message.message_type,
                v_message.content, v_message.metadata, v_message.parent_message_id
            ) IS NOT DISTINCT FROM (
                send_message.conversation_id, v_user_id, send_message.message_type,
                send_message.content, send_message.metadata, send_message.parent_message_id
            ) THEN
                RETURN v_message;
            END IF;

            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'This id already stands for another message.',
                DETAIL = format('Id: %s', send_message.id),
                HINT = 'Make a new id for a new message; send the same body to repeat one.';
        END IF;
    END IF;

    -- One row lock gives the message its seq and its event the offset, and holds both to the
    -- commit. The policy lets members through and nobody else.
    UPDATE roost.conversations AS conversation
    SET last_seq = conversation.last_seq + 1, last_activity = now()
    WHERE conversation.id = send_message.conversation_id
    RETURNING conversation.last_seq INTO v_seq;

    IF NOT FOUND THEN
        PERFORM roost.require_role(send_message.conversation_id, 'member');
    END IF;

    -- Since the call began, register_device may have moved the session and removed the device that
    -- it came from: then the message has none. The foreign key would wait for that as well, but
    -- refuse.
    INSERT INTO roost.messages AS message (
        id, conversation_id, seq, user_id, device_id, message_type, content, metadata,
        parent_message_id
    )
    VALUES (
        coalesce(send_message.id, roost.uuid_v7()),
        send_message.conversation_id,
        v_seq,
        v_user_id,
        (
            SELECT device.id
            FROM roost.devices AS device
            WHERE device.id = roost.current_device_id()
            FOR KEY SHARE
        ),
        send_message.message_type,
        send_message.content,
        send_message.metadata,
        send_message.parent_message_id
    )
    RETURNING (roost.describe_message(message)).* INTO v_message;

    PERFORM realtime.append(
        'conversation:' || send_message.conversation_id,
        v_seq,
        'message.created',
        row_to_json(v_message)
    );

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) TO roost_user;

COMMENT ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) IS
'Sends a message. Everybody in the conversation gets message.created on conversation:<id>, whose
offset is the message''s seq.

Callers: members, admins and the owner of the conversation.
Arguments: conversation_id. content, an object of at most 256 KiB. message_type, lower case, at most
64 characters. metadata, an object of at most 64 KiB. parent_message_id, the message that this one
answers. id, a UUID (version 7 is best) made by the client: sent again with the same body it answers
the first message instead of sending a second.
Returns: the message, an object.
Errors: RO101, RO201 (not your conversation), RO202 (viewer), RO301 (the id has another body), 23503
(no such parent in the conversation), 23505 (the id is taken), 23514 (a value does not fit).
Example: POST /rpc/send_message {"conversation_id": "<id>", "content": {"text": "hello"}}';

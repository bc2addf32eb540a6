CREATE OR REPLACE FUNCTION api.send_message(
    conversation_id uuid,
    content jsonb,
    message_type text DEFAULT 'text',
    metadata jsonb DEFAULT '{}',
    parent_message_id uuid DEFAULT NULL,
    id uuid DEFAULT NULL,
    attachments jsonb DEFAULT '[]'
)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    -- Of their domains from here on, so that what is hashed is of a bounded size.
    v_content roost.message_content := send_message.content::roost.message_content;
    v_metadata roost.json_object := send_message.metadata::roost.json_object;
    v_attachments jsonb := '[]'::jsonb;
    v_request_hash bytea;
    v_stored roost.messages;
    v_message roost.message;
    v_seq bigint;
    v_number bigint;
BEGIN
    IF send_message.attachments IS DISTINCT FROM '[]' THEN
        v_attachments := roost.describe_attachments(send_message.attachments);
    END IF;

    IF send_message.id IS NOT NULL THEN
        v_request_hash := sha256(convert_to(
            jsonb_build_array(
                send_message.message_type, v_content, v_metadata, send_message.parent_message_id,
                send_message.attachments
            )::text,
            'UTF8'
        ));

        -- The same id sent twice at once, as by a client that timed out and tries again: the second
        -- waits here until the first has committed, and then finds its message. The policy lets
        -- nobody lock who may not send.
        PERFORM FROM roost.conversations AS conversation
        WHERE conversation.id = send_message.conversation_id
        FOR NO KEY UPDATE;

        SELECT message.*
        INTO v_stored
        FROM roost.messages AS message
        WHERE message.id = send_message.id;

        IF FOUND THEN
            -- Before the role: what was sent stays sent, also for whoever may send no more.
            IF (v_stored.conversation_id, v_stored.user_id)
                IS NOT DISTINCT FROM (send_message.conversation_id, v_user_id)
                AND coalesce(
                    v_stored.request_hash = v_request_hash,
                    -- Nothing is known any more of what it said.
                    -- Or it was sent before release 0.2.0, or under an id of the database's.
                    v_stored.purged_at IS NOT NULL
                    OR (
                        v_stored.message_type, v_stored.content, v_stored.metadata,
                        v_stored.parent_message_id, send_message.attachments
                    ) IS NOT DISTINCT FROM (
                        send_message.message_type, v_content, v_metadata,
                        send_message.parent_message_id, '[]'::jsonb
                    )
                )
            THEN
                -- Whoever sends again was not answered, perhaps because the server died right
                -- behind the commit: then nobody has told the relays.
                PERFORM realtime.wake('conversation:' || send_message.conversation_id);

                RETURN roost.describe_message(v_stored);
            END IF;

            PERFORM roost.require_permission(send_message.conversation_id, 'message.send');

            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'This id already stands for another message.',
                DETAIL = format('Id: %s', send_message.id),
                HINT = 'Make a new id for a new message; send the same body to repeat one.';
        END IF;
    END IF;

    -- One row lock gives the message its seq and its event the offset, and holds both to the
    -- commit. The policy lets those through who may send. Whoever finds nothing is told why, unless
    -- the reason has gone since.
    LOOP
        UPDATE roost.conversations AS conversation
        SET last_seq = conversation.last_seq + 1,
            last_number = conversation.last_number + 1,
            last_activity = now()
        WHERE conversation.id = send_message.conversation_id
            AND conversation.archived_at IS NULL
            AND conversation.deleted_at IS NULL
        RETURNING conversation.last_seq, conversation.last_number INTO v_seq, v_number;

        EXIT WHEN FOUND;
        PERFORM roost.require_permission(send_message.conversation_id, 'message.send');
    END LOOP;

    -- Whoever sends has read what is above. It also looks again, with new eyes after the wait: the
    -- sender may have been removed meanwhile, or may send no more.
    UPDATE roost.conversation_participants AS participant
    SET last_read_seq = v_seq,
        last_delivered_seq = v_seq,
        read_number = v_number,
        change_seq = v_seq
    WHERE participant.conversation_id = send_message.conversation_id
        AND participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND NOT participant.suspended
        AND participant.role >= (
            SELECT allowed.least_role
            FROM roost.conversation_permissions AS allowed
            WHERE allowed.permission = CASE send_message.message_type
                WHEN 'system' THEN 'message.send_system' ELSE 'message.send'
            END
        );

    IF NOT FOUND THEN
        PERFORM roost.require_permission(
            send_message.conversation_id,
            CASE send_message.message_type
                WHEN 'system' THEN 'message.send_system' ELSE 'message.send'
            END
        );
    END IF;

    -- Since the call began, register_device may have moved the session and removed the device that
    -- it came from: then the message has none. The foreign key would wait for that as well, but
    -- refuse.
    INSERT INTO roost.messages AS message (
        id, conversation_id, seq, number, change_seq, user_id, device_id, message_type, content,
        metadata, parent_message_id, attachments, request_hash
    )
    VALUES (
        coalesce(send_message.id, roost.uuid_v7()),
        send_message.conversation_id,
        v_seq,
        v_number,
        v_seq,
        v_user_id,
        (
            SELECT device.id
            FROM roost.devices AS device
            WHERE device.id = roost.current_device_id()
            FOR KEY SHARE
        ),
        send_message.message_type,
        v_content,
        v_metadata,
        send_message.parent_message_id,
        v_attachments,
        v_request_hash
    )
    RETURNING (roost.describe_message(message)).* INTO v_message;

    IF v_attachments <> '[]' THEN
        INSERT INTO roost.message_attachments (
            id, message_id, conversation_id, seq, place, name, media_type, size, sha256, file_id,
            url
        )
        SELECT
            attached.id, v_message.id, v_message.conversation_id, v_seq, attached.place,
            attached.name, attached.media_type, attached.size, attached.sha256, attached.file_id,
            attached.url
        FROM ROWS FROM (
            jsonb_to_recordset(v_attachments) AS (
                id uuid, name text, media_type text, size bigint, sha256 text, file_id uuid,
                url text
            )
        ) WITH ORDINALITY AS attached (id, name, media_type, size, sha256, file_id, url, place);
    END IF;

    PERFORM realtime.append(
        'conversation:' || send_message.conversation_id,
        v_seq,
        'message.created',
        row_to_json(v_message)
    );

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid, jsonb)
TO roost_user;

COMMENT ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid, jsonb) IS
'Sends a message. Everybody in the conversation gets message.created on conversation:<id>, whose
offset is the message''s seq. The sender has read and received everything up to it. Participants
whom content.text names after an @, by user id, e-mail address or display name, are in its mentions.

Callers: members, admins and the owner of the conversation; admins and the owner for type system.
Arguments: conversation_id. content, an object of at most 256 KiB, by type: text and system
{"text"}, code {"code", "language", "filename"}, tool_call {"name", "arguments", "call_id"},
tool_result {"result", "call_id", "is_error"}, file {"text"}; any object for a type of your own.
message_type, lower case, at most 64 characters. metadata, an object of at most 64 KiB.
parent_message_id, the message that this one answers. id, a UUID (version 7 is best) made by the
client: sent again with the same body it answers the first message, as it is now, instead of sending
a second. attachments, at most 20 objects {"name", "media_type", "size" in bytes, "sha256", and
"file_id" or "url"}.
Returns: the message, an object.
Errors: RO101, RO201 (not your conversation), RO202 (role too low), RO203 (archived), RO301 (the id
has another body), RO302 (attachments), 23503 (no such parent in the conversation), 23505 (the id is
taken), 23514 (a value does not fit).
Example: POST /rpc/send_message {"conversation_id": "<id>", "content": {"text": "hello"}}';

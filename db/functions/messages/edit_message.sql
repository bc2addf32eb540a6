CREATE OR REPLACE FUNCTION api.edit_message(
    message_id uuid,
    content jsonb,
    based_on_version bigint,
    metadata jsonb DEFAULT NULL
)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(edit_message.message_id, 'message.edit_own');
    v_content roost.message_content := edit_message.content::roost.message_content;
    v_metadata roost.json_object := coalesce(
        edit_message.metadata::roost.json_object, v_stored.metadata
    );
    v_message roost.message;
BEGIN
    IF v_stored.message_type = 'system' THEN
        PERFORM roost.require_permission(v_stored.conversation_id, 'message.send_system');
    END IF;

    IF v_stored.purged_at IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO305',
            MESSAGE = 'The message was deleted for good.',
            DETAIL = format('Message: %s', edit_message.message_id),
            HINT = 'Send a new message.';
    ELSIF v_stored.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO304',
            MESSAGE = 'The message was deleted.',
            DETAIL = format('Message: %s', edit_message.message_id),
            HINT = 'Restore it with restore_message first.';
    END IF;

    -- Also for an edit that was made and is sent again, as by a client that timed out: it is based
    -- on the version that it has replaced itself.
    IF (v_stored.content, v_stored.metadata) IS NOT DISTINCT FROM (v_content, v_metadata) THEN
        RETURN roost.describe_message(v_stored);
    END IF;

    IF v_stored.version IS DISTINCT FROM edit_message.based_on_version THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The message was changed since the version that the edit is based on.',
            DETAIL = row_to_json(roost.describe_message(v_stored))::text,
            HINT = 'Make the edit again in the message that details has, based on its version.';
    END IF;

    UPDATE roost.messages AS message
    SET content = v_content, metadata = v_metadata
    WHERE message.id = edit_message.message_id
    RETURNING (roost.describe_message(message)).* INTO STRICT v_message;

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.edit_message(uuid, jsonb, bigint, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.edit_message(uuid, jsonb, bigint, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.edit_message(uuid, jsonb, bigint, jsonb) TO roost_user;

COMMENT ON FUNCTION api.edit_message(uuid, jsonb, bigint, jsonb) IS
'Edits a message of one''s own. Everybody in the conversation gets message.updated. Its type and
attachments stay. The same content again changes nothing and tells nobody.

Callers: the author, while a member, an admin or the owner of the conversation; for type system
while an admin or the owner.
Arguments: message_id. content, as for send_message: it takes the place of all that was there.
based_on_version, the version of the message that was edited. metadata, an object of at most 64 KiB;
null leaves it as it is.
Returns: the message, an object, with its new version.
Errors: RO101, RO201 (no such message), RO202 (somebody else''s, or role too low), RO203 (archived),
RO303 (it has another version by now; details is the message as it is, as JSON), RO304 (deleted),
RO305 (deleted for good), 23502 and 23514 (a value does not fit).
Example: POST /rpc/edit_message {"message_id": "<id>", "content": {"text": "hi"},
"based_on_version": 1}';

CREATE OR REPLACE FUNCTION api.restore_message(message_id uuid)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(
        restore_message.message_id, 'message.delete_own', 'message.delete_any'
    );
    v_message roost.message;
BEGIN
    IF v_stored.purged_at IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO305',
            MESSAGE = 'The message was deleted for good.',
            DETAIL = format('Message: %s', restore_message.message_id),
            HINT = 'Send a new message.';
    ELSIF v_stored.deleted_at IS NULL THEN
        RETURN roost.describe_message(v_stored);
    END IF;

    -- Authors take back what they did themselves, not what an admin did.
    IF v_stored.deleted_by IS DISTINCT FROM roost.current_user_id() THEN
        PERFORM roost.require_permission(v_stored.conversation_id, 'message.delete_any');
    END IF;

    -- The trigger brings back what it had.
    UPDATE roost.messages AS message
    SET deleted_at = NULL
    WHERE message.id = restore_message.message_id
    RETURNING (roost.describe_message(message)).* INTO STRICT v_message;

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.restore_message(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.restore_message(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.restore_message(uuid) TO roost_user;

COMMENT ON FUNCTION api.restore_message(uuid) IS
'Brings a deleted message back as it was, with its attachments and reactions. Everybody in the
conversation gets message.restored. Restoring one that is there changes nothing.

Callers: the author who deleted it, while a member, an admin or the owner of the conversation;
admins and the owner.
Arguments: message_id.
Returns: the message, an object.
Errors: RO101, RO201 (no such message), RO202 (somebody else''s, deleted by somebody else, or role
too low), RO305 (deleted for good).
Example: POST /rpc/restore_message {"message_id": "<id>"}';

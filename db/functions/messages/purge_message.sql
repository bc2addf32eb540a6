CREATE OR REPLACE FUNCTION api.purge_message(message_id uuid)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(
        purge_message.message_id, 'message.delete_own', 'message.delete_any'
    );
    v_message roost.message;
BEGIN
    IF v_stored.purged_at IS NOT NULL THEN
        RETURN roost.describe_message(v_stored);
    END IF;

    -- The trigger deletes what it had, wherever that is.
    UPDATE roost.messages AS message
    SET purged_at = now()
    WHERE message.id = purge_message.message_id
    RETURNING (roost.describe_message(message)).* INTO STRICT v_message;

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.purge_message(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.purge_message(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.purge_message(uuid) TO roost_user;

COMMENT ON FUNCTION api.purge_message(uuid) IS
'Deletes a message for good, also one that was deleted before: its content goes from the message,
its history, search and stored events, and its attachments and reactions go. The tombstone stays.
Everybody in the conversation gets message.deleted, with purged_at. Nothing brings it back.

Callers: the author, while a member, an admin or the owner of the conversation; admins and the
owner.
Arguments: message_id.
Returns: the message, an object with purged_at, its content null.
Errors: RO101, RO201 (no such message), RO202 (somebody else''s, or role too low).
Example: POST /rpc/purge_message {"message_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.delete_message(message_id uuid)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(
        delete_message.message_id, 'message.delete_own', 'message.delete_any'
    );
    v_message roost.message;
BEGIN
    IF v_stored.deleted_at IS NOT NULL THEN
        RETURN roost.describe_message(v_stored);
    END IF;

    -- The trigger keeps what it had, and hides it.
    UPDATE roost.messages AS message
    SET deleted_at = now()
    WHERE message.id = delete_message.message_id
    RETURNING (roost.describe_message(message)).* INTO STRICT v_message;

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.delete_message(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.delete_message(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.delete_message(uuid) TO roost_user;

COMMENT ON FUNCTION api.delete_message(uuid) IS
'Deletes a message: what is left is a tombstone, which has its place, author and thread and nothing
else. Everybody in the conversation gets message.deleted, and stored events of it show no more than
the tombstone. restore_message brings it back. Deleting it again changes nothing.

Callers: the author, while a member, an admin or the owner of the conversation; admins and the
owner.
Arguments: message_id.
Returns: the message, an object with deleted_at, its content null.
Errors: RO101, RO201 (no such message), RO202 (somebody else''s, or role too low).
Example: POST /rpc/delete_message {"message_id": "<id>"}';

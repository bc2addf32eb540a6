CREATE OR REPLACE FUNCTION api.archive_conversation(conversation_id uuid)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations;
BEGIN
    PERFORM roost.lock_conversation(archive_conversation.conversation_id, 'conversation.archive');

    UPDATE roost.conversations AS conversation
    SET archived_at = now()
    WHERE conversation.id = archive_conversation.conversation_id
        AND conversation.archived_at IS NULL
    RETURNING conversation.* INTO v_conversation;

    IF FOUND THEN
        PERFORM roost.publish_conversation(v_conversation, 'conversation.archived');
    END IF;

    RETURN roost.own_conversation(archive_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.archive_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.archive_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.archive_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.archive_conversation(uuid) IS
'Archives a conversation: it can be read, and takes nothing new until unarchive_conversation.
Everybody in it gets conversation.archived. Archiving it again changes nothing and answers the same.

Callers: admins and the owner of the conversation.
Arguments: conversation_id.
Returns: the conversation, an object.
Errors: RO101, RO201 (not your conversation), RO202 (role too low).
Example: POST /rpc/archive_conversation {"conversation_id": "<id>"}';

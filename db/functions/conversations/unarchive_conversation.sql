CREATE OR REPLACE FUNCTION api.unarchive_conversation(conversation_id uuid)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations;
BEGIN
    PERFORM roost.lock_conversation(unarchive_conversation.conversation_id, 'conversation.archive');

    UPDATE roost.conversations AS conversation
    SET archived_at = NULL
    WHERE conversation.id = unarchive_conversation.conversation_id
        AND conversation.archived_at IS NOT NULL
    RETURNING conversation.* INTO v_conversation;

    IF FOUND THEN
        PERFORM roost.publish_conversation(v_conversation, 'conversation.unarchived');
    END IF;

    RETURN roost.own_conversation(unarchive_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.unarchive_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.unarchive_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.unarchive_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.unarchive_conversation(uuid) IS
'Takes a conversation out of the archive. Everybody in it gets conversation.unarchived. If it is not
archived, nothing changes and the answer is the same.

Callers: admins and the owner of the conversation.
Arguments: conversation_id.
Returns: the conversation, an object.
Errors: RO101, RO201 (not your conversation), RO202 (role too low).
Example: POST /rpc/unarchive_conversation {"conversation_id": "<id>"}';

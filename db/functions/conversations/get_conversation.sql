CREATE OR REPLACE FUNCTION api.get_conversation(conversation_id uuid)
RETURNS roost.conversation
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_permission(get_conversation.conversation_id, 'conversation.read');

    RETURN roost.own_conversation(get_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.get_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.get_conversation(uuid) IS
'Reads a conversation as list_conversations lists it.

Callers: participants of the conversation.
Arguments: conversation_id.
Returns: the conversation, an object, with the newest message that the caller sees, and the
caller''s own role, markers and count of unread messages.
Errors: RO101, RO201 (not your conversation, or deleted).
Example: POST /rpc/get_conversation {"conversation_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.delete_conversation(conversation_id uuid)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations;
BEGIN
    v_conversation := roost.lock_owned_conversation(delete_conversation.conversation_id);

    IF v_conversation.deleted_at IS NULL THEN
        UPDATE roost.conversations AS conversation
        SET deleted_at = now()
        WHERE conversation.id = delete_conversation.conversation_id
        RETURNING conversation.* INTO STRICT v_conversation;

        PERFORM roost.publish_conversation(v_conversation, 'conversation.deleted', 'everybody');
        PERFORM roost.notify_participants(
            v_conversation.id,
            'conversation.removed',
            json_build_object('conversation_id', v_conversation.id)
        );
    END IF;

    RETURN roost.own_conversation(delete_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.delete_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.delete_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.delete_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.delete_conversation(uuid) IS
'Deletes a conversation: from then on nobody reads it, live sockets included. For 30 days its owner
lists it with the state deleted and can bring it back with restore_conversation; then it is deleted
for good. Everybody in it gets conversation.deleted, and conversation.removed in their inbox.
Deleting it again changes nothing and answers the same.

Callers: the owner of the conversation.
Arguments: conversation_id.
Returns: the conversation, an object, without its last message; null when it is being deleted for
good.
Errors: RO101, RO201 (not your conversation), RO202 (role too low).
Example: POST /rpc/delete_conversation {"conversation_id": "<id>"}';

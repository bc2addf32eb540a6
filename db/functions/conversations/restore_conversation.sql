CREATE OR REPLACE FUNCTION api.restore_conversation(conversation_id uuid)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations;
BEGIN
    v_conversation := roost.lock_owned_conversation(restore_conversation.conversation_id);

    IF v_conversation.purged_at IS NOT NULL
        OR v_conversation.deleted_at <= now() - roost.restore_period()
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO305',
            MESSAGE = 'The conversation was deleted for good.',
            DETAIL = format('Conversation: %s', v_conversation.id),
            HINT = 'Open a new one; a deleted conversation can be restored for 30 days.';
    END IF;

    IF v_conversation.deleted_at IS NOT NULL THEN
        UPDATE roost.conversations AS conversation
        SET deleted_at = NULL
        WHERE conversation.id = restore_conversation.conversation_id
        RETURNING conversation.* INTO STRICT v_conversation;

        PERFORM roost.publish_conversation(v_conversation, 'conversation.restored');
        PERFORM roost.notify_participants(
            v_conversation.id,
            'conversation.restored',
            json_build_object(
                'conversation_id', v_conversation.id,
                'title', v_conversation.title
            ),
            -- As it was before conversation.restored.
            v_conversation.last_seq
        );
    END IF;

    RETURN roost.own_conversation(restore_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.restore_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.restore_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.restore_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.restore_conversation(uuid) IS
'Brings a deleted conversation back as it was, for everybody who took part in it. They get
conversation.restored in their inbox and, once they have joined it again, in the conversation. If it
is not deleted, nothing changes and the answer is the same.

Callers: the owner of the conversation.
Arguments: conversation_id.
Returns: the conversation, an object.
Errors: RO101, RO201 (not your conversation, or gone), RO202 (role too low), RO305 (deleted for
good, or more than 30 days ago).
Example: POST /rpc/restore_conversation {"conversation_id": "<id>"}';

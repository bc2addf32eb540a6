CREATE OR REPLACE FUNCTION api.leave_conversation(conversation_id uuid)
RETURNS roost.participant
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_role roost.participant_role := roost.lock_conversation(
        leave_conversation.conversation_id, 'conversation.leave'
    );
    v_participant roost.conversation_participants;
BEGIN
    IF v_role = 'owner' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO204',
            MESSAGE = 'The owner stays in the conversation.',
            DETAIL = format('Conversation: %s', leave_conversation.conversation_id),
            HINT = 'Hand it over with transfer_ownership first, or use delete_conversation.';
    END IF;

    UPDATE roost.conversation_participants AS participant
    SET left_at = now()
    WHERE participant.conversation_id = leave_conversation.conversation_id
        AND participant.user_id = roost.current_user_id()
    RETURNING participant.* INTO STRICT v_participant;

    PERFORM roost.publish_participant(
        v_participant, 'participant.removed', v_participant.user_id::text
    );
    PERFORM realtime.publish(
        format('user:%s', v_participant.user_id),
        'conversation.removed',
        json_build_object('conversation_id', v_participant.conversation_id)
    );

    RETURN roost.describe_participant(v_participant);
END;
$$;

ALTER FUNCTION api.leave_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.leave_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.leave_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.leave_conversation(uuid) IS
'Leaves a conversation: from that moment on the caller sees nothing of it, and comes back only if
somebody adds them. Others in it get participant.removed, the caller''s devices conversation.removed
in their inbox.

Callers: participants of the conversation, but for the owner.
Arguments: conversation_id.
Returns: the participant, an object, with left_at.
Errors: RO101, RO201 (not your conversation), RO204 (the owner hands it over first).
Example: POST /rpc/leave_conversation {"conversation_id": "<id>"}';

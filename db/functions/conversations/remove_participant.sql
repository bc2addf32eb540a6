CREATE OR REPLACE FUNCTION api.remove_participant(conversation_id uuid, user_id uuid)
RETURNS roost.participant
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_caller_role roost.participant_role := roost.lock_conversation(
        remove_participant.conversation_id, 'participant.remove'
    );
    v_participant roost.conversation_participants;
BEGIN
    v_participant := roost.require_participant(
        remove_participant.conversation_id, remove_participant.user_id
    );

    IF v_participant.role >= v_caller_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'You can only remove people whose role is below your own.',
            DETAIL = format('Your role: %s; theirs: %s', v_caller_role, v_participant.role),
            HINT = 'Ask the owner to remove an admin; leave yourself with leave_conversation.';
    END IF;

    UPDATE roost.conversation_participants AS participant
    SET left_at = now()
    WHERE participant.conversation_id = remove_participant.conversation_id
        AND participant.user_id = remove_participant.user_id
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

ALTER FUNCTION api.remove_participant(uuid, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.remove_participant(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.remove_participant(uuid, uuid) TO roost_user;

COMMENT ON FUNCTION api.remove_participant(uuid, uuid) IS
'Removes a person from a conversation: from that moment on they see nothing of it, live sockets
included. Everybody in it gets participant.removed, the person conversation.removed in their inbox.

Callers: admins and the owner of the conversation.
Arguments: conversation_id. user_id, the person.
Returns: the participant, an object, with left_at.
Errors: RO101, RO201 (not your conversation, or the person does not take part), RO202 (role too low,
or not above theirs).
Example: POST /rpc/remove_participant {"conversation_id": "<id>", "user_id": "<id>"}';

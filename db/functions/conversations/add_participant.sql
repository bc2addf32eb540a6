CREATE OR REPLACE FUNCTION api.add_participant(
    conversation_id uuid,
    user_id uuid,
    role roost.participant_role DEFAULT 'member',
    history roost.history_scope DEFAULT 'all'
)
RETURNS roost.participant
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Two admins who add the same person at the same moment: the second waits here, and then finds
    -- the row of the first. An admin who loses the role meanwhile is refused.
    v_caller_role roost.participant_role := roost.lock_conversation(
        add_participant.conversation_id, 'participant.add'
    );
    v_participant roost.conversation_participants;
    v_conversation roost.conversations;
    v_own_history bigint;
BEGIN
    IF add_participant.history IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said which history they see.',
            HINT = 'Send all or from_now as history, or leave it out.';
    END IF;

    -- An admin makes members and viewers; only the owner makes admins; nobody makes a second owner.
    IF add_participant.role IS NULL OR add_participant.role >= v_caller_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'You can only give a role below your own.',
            DETAIL = format('Your role: %s; asked for: %s', v_caller_role, add_participant.role),
            HINT = 'Give viewer or member; the owner may also give admin.';
    END IF;

    PERFORM roost.require_active_users(ARRAY[add_participant.user_id]);

    SELECT participant.*
    INTO v_participant
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = add_participant.conversation_id
        AND participant.user_id = add_participant.user_id
        AND participant.left_at IS NULL;

    IF FOUND THEN
        IF v_participant.role = add_participant.role THEN
            RETURN roost.describe_participant(v_participant);
        END IF;

        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'This person already takes part, in another role.',
            DETAIL = format('Role: %s', v_participant.role),
            HINT = 'Leave it, or change the role with change_role.';
    END IF;

    SELECT conversation.*
    INTO STRICT v_conversation
    FROM roost.conversations AS conversation
    WHERE conversation.id = add_participant.conversation_id;

    SELECT participant.history_after_seq
    INTO STRICT v_own_history
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = add_participant.conversation_id
        AND participant.user_id = roost.current_user_id();

    -- Nobody shows others what they do not see. Nothing is unread to who is added. Who sees the
    -- history from now on sees first that they were added: that event comes after last_seq as it
    -- is here.
    INSERT INTO roost.conversation_participants AS participant (
        conversation_id, user_id, role, history_after_seq, last_read_seq, last_delivered_seq,
        read_number
    )
    VALUES (
        add_participant.conversation_id,
        add_participant.user_id,
        add_participant.role,
        CASE add_participant.history
            WHEN 'all' THEN v_own_history ELSE v_conversation.last_seq
        END,
        v_conversation.last_seq,
        v_conversation.last_seq,
        v_conversation.last_number
    )
    ON CONFLICT ON CONSTRAINT conversation_participants_pkey
    DO UPDATE SET
        role = excluded.role,
        joined_at = now(),
        left_at = NULL,
        history_after_seq = excluded.history_after_seq,
        last_read_seq = excluded.last_read_seq,
        last_delivered_seq = excluded.last_delivered_seq,
        read_number = excluded.read_number
    RETURNING participant.* INTO STRICT v_participant;

    PERFORM roost.publish_participant(v_participant, 'participant.added');
    PERFORM realtime.publish(
        format('user:%s', v_participant.user_id),
        'conversation.added',
        json_build_object(
            'conversation_id', v_participant.conversation_id,
            'title', v_conversation.title,
            'added_by', roost.current_user_id()
        ),
        p_grants_topic => format('conversation:%s', v_participant.conversation_id),
        p_grants_after => v_conversation.last_seq
    );

    RETURN roost.describe_participant(v_participant);
END;
$$;

ALTER FUNCTION api.add_participant(
    uuid, uuid, roost.participant_role, roost.history_scope
) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.add_participant(
    uuid, uuid, roost.participant_role, roost.history_scope
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.add_participant(
    uuid, uuid, roost.participant_role, roost.history_scope
) TO roost_user;

COMMENT ON FUNCTION api.add_participant(
    uuid, uuid, roost.participant_role, roost.history_scope
) IS
'Adds a person to a conversation. Others in it get participant.added, the person conversation.added
in their inbox. Adding somebody again in the same role changes nothing and answers the same; for
somebody who has left or was removed, role and history are those of the new adding.

Callers: admins and the owner of the conversation.
Arguments: conversation_id. user_id, the person. role, viewer, member or (by the owner) admin.
history, what they see: all that the caller sees, or from_now, what comes from their own
participant.added on.
Returns: the participant, an object. Everything before counts as read.
Errors: RO101, RO201 (not your conversation, or no such person), RO202 (role too low), RO203
(archived), RO301 (takes part in another role), RO302 (history is null).
Example: POST /rpc/add_participant {"conversation_id": "<id>", "user_id": "<id>"}';

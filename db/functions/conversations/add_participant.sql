CREATE OR REPLACE FUNCTION api.add_participant(
    conversation_id uuid,
    user_id uuid,
    role roost.participant_role DEFAULT 'member'
)
RETURNS roost.participant
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_caller_role roost.participant_role := roost.require_role(
        add_participant.conversation_id, 'admin'
    );
    v_participant roost.participant;
    v_left_at timestamptz;
    v_title text;
BEGIN
    -- An admin makes members and viewers; only the owner makes admins; nobody makes a second owner.
    IF add_participant.role IS NULL OR add_participant.role >= v_caller_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'You can only give a role below your own.',
            DETAIL = format('Your role: %s; asked for: %s', v_caller_role, add_participant.role),
            HINT = 'Give viewer or member; the owner may also give admin.';
    END IF;

    PERFORM roost.require_active_users(ARRAY[add_participant.user_id]);

    -- Two admins who add the same person at the same moment: the second waits here, and then finds
    -- the row of the first.
    SELECT conversation.title
    INTO STRICT v_title
    FROM roost.conversations AS conversation
    WHERE conversation.id = add_participant.conversation_id
    FOR UPDATE;

    SELECT
        participant.conversation_id,
        participant.user_id,
        participant.role,
        participant.joined_at,
        participant.left_at
    INTO
        v_participant.conversation_id,
        v_participant.user_id,
        v_participant.role,
        v_participant.joined_at,
        v_left_at
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = add_participant.conversation_id
        AND participant.user_id = add_participant.user_id;

    IF FOUND AND v_left_at IS NULL THEN
        IF v_participant.role = add_participant.role THEN
            RETURN v_participant;
        END IF;

        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'This person already takes part, in another role.',
            DETAIL = format('Role: %s', v_participant.role),
            HINT = 'Leave it, or ask for the role that they have.';
    END IF;

    INSERT INTO roost.conversation_participants AS participant (conversation_id, user_id, role)
    VALUES (add_participant.conversation_id, add_participant.user_id, add_participant.role)
    ON CONFLICT ON CONSTRAINT conversation_participants_pkey
    DO UPDATE SET role = excluded.role, joined_at = now(), left_at = NULL
    RETURNING
        participant.conversation_id, participant.user_id, participant.role, participant.joined_at
    INTO STRICT v_participant;

    PERFORM realtime.publish(
        format('conversation:%s', v_participant.conversation_id),
        'participant.added',
        row_to_json(v_participant)
    );
    PERFORM realtime.publish(
        format('user:%s', v_participant.user_id),
        'conversation.added',
        json_build_object(
            'conversation_id', v_participant.conversation_id,
            'title', v_title,
            'added_by', roost.current_user_id()
        )
    );

    RETURN v_participant;
END;
$$;

ALTER FUNCTION api.add_participant(uuid, uuid, roost.participant_role) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.add_participant(uuid, uuid, roost.participant_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.add_participant(uuid, uuid, roost.participant_role) TO roost_user;

COMMENT ON FUNCTION api.add_participant(uuid, uuid, roost.participant_role) IS
'Adds a person to a conversation. Others in it get participant.added, the person conversation.added
in their inbox. Adding somebody again in the same role changes nothing and answers the same.

Callers: admins and the owner of the conversation.
Arguments: conversation_id. user_id, the person. role, viewer, member or (by the owner) admin.
Returns: the participant, an object.
Errors: RO101, RO201 (not your conversation, or no such person), RO202 (role too low), RO301 (takes
part in another role).
Example: POST /rpc/add_participant {"conversation_id": "<id>", "user_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.change_role(
    conversation_id uuid,
    user_id uuid,
    role roost.participant_role
)
RETURNS roost.participant
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_caller_role roost.participant_role := roost.lock_conversation(
        change_role.conversation_id, 'participant.change_role'
    );
    v_participant roost.conversation_participants;
BEGIN
    v_participant := roost.require_participant(
        change_role.conversation_id, change_role.user_id
    );

    IF change_role.role IS NULL
        OR change_role.role >= v_caller_role
        OR v_participant.role >= v_caller_role
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'You can only change roles below your own, to roles below your own.',
            DETAIL = format(
                'Your role: %s; theirs: %s; asked for: %s',
                v_caller_role, v_participant.role, change_role.role
            ),
            HINT = 'The owner may make and unmake admins, and hands over with transfer_ownership.';
    END IF;

    IF v_participant.role <> change_role.role THEN
        UPDATE roost.conversation_participants AS participant
        SET role = change_role.role
        WHERE participant.conversation_id = change_role.conversation_id
            AND participant.user_id = change_role.user_id
        RETURNING participant.* INTO STRICT v_participant;

        PERFORM roost.publish_participant(v_participant, 'participant.updated');
    END IF;

    RETURN roost.describe_participant(v_participant);
END;
$$;

ALTER FUNCTION api.change_role(uuid, uuid, roost.participant_role) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.change_role(uuid, uuid, roost.participant_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.change_role(uuid, uuid, roost.participant_role) TO roost_user;

COMMENT ON FUNCTION api.change_role(uuid, uuid, roost.participant_role) IS
'Gives a participant another role. Everybody in the conversation gets participant.updated. Giving
the role that they have changes nothing and answers the same.

Callers: admins and the owner of the conversation.
Arguments: conversation_id. user_id, the person. role, viewer, member or (by the owner) admin.
Returns: the participant, an object.
Errors: RO101, RO201 (not your conversation, or the person does not take part), RO202 (role too low,
or not above theirs and the one asked for).
Example: POST /rpc/change_role {"conversation_id": "<id>", "user_id": "<id>", "role": "viewer"}';

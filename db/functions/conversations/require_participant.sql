-- To be called under the conversation's lock, by a function that has asked what the caller may.
CREATE OR REPLACE FUNCTION roost.require_participant(p_conversation_id uuid, p_user_id uuid)
RETURNS roost.conversation_participants
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_participant roost.conversation_participants;
BEGIN
    SELECT participant.*
    INTO v_participant
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = p_conversation_id
        AND participant.user_id = p_user_id
        AND participant.left_at IS NULL;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'This person does not take part in the conversation.',
            DETAIL = format('Person: %s', coalesce(p_user_id::text, 'null')),
            HINT = 'Send the user id of somebody from list_participants.';
    END IF;

    RETURN v_participant;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_participant(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_participant(uuid, uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_participant(uuid, uuid) IS
'Answers a participant. Errors: RO201 (the person does not take part, or not any more).';

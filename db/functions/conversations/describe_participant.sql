-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_participant(
    p_participant roost.conversation_participants
)
RETURNS roost.participant
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_participant.conversation_id,
    p_participant.user_id,
    p_participant.role,
    p_participant.joined_at,
    p_participant.left_at,
    p_participant.last_read_seq,
    p_participant.last_delivered_seq
)::roost.participant;

REVOKE ALL ON FUNCTION roost.describe_participant(roost.conversation_participants) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_participant(roost.conversation_participants) TO roost_api;

COMMENT ON FUNCTION roost.describe_participant(roost.conversation_participants) IS
'A participant as clients get them: in lists, and in the events participant.*.';

-- Runs as the owner: who leaves has no role any more by which the row could be written.
CREATE OR REPLACE FUNCTION roost.publish_participant(
    p_participant roost.conversation_participants,
    p_event text,
    p_revokes text DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint := realtime.publish(
        format('conversation:%s', p_participant.conversation_id),
        p_event,
        row_to_json(roost.describe_participant(p_participant)),
        p_revokes => p_revokes
    );
BEGIN
    UPDATE roost.conversation_participants AS participant
    SET change_seq = v_offset
    WHERE participant.conversation_id = p_participant.conversation_id
        AND participant.user_id = p_participant.user_id;

    RETURN v_offset;
END;
$$;

REVOKE ALL ON FUNCTION roost.publish_participant(roost.conversation_participants, text, text)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_participant(roost.conversation_participants, text, text)
TO roost_api;

COMMENT ON FUNCTION roost.publish_participant(roost.conversation_participants, text, text) IS
'Tells a conversation of a change of one who is in it. p_revokes is as for realtime.append.';

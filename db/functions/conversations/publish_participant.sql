CREATE OR REPLACE FUNCTION roost.publish_participant(
    p_participant roost.conversation_participants,
    p_event text,
    p_revokes text DEFAULT NULL
)
RETURNS bigint
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT realtime.publish(
        format('conversation:%s', p_participant.conversation_id),
        p_event,
        row_to_json(roost.describe_participant(p_participant)),
        p_revokes => p_revokes
    );
$$;

REVOKE ALL ON FUNCTION roost.publish_participant(roost.conversation_participants, text, text)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_participant(roost.conversation_participants, text, text)
TO roost_api;

COMMENT ON FUNCTION roost.publish_participant(roost.conversation_participants, text, text) IS
'Tells a conversation of a change of one who is in it. p_revokes is as for realtime.append.';

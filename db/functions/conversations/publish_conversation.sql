CREATE OR REPLACE FUNCTION roost.publish_conversation(
    p_conversation roost.conversations,
    p_event text,
    p_revokes text DEFAULT NULL
)
RETURNS bigint
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT realtime.publish(
        format('conversation:%s', p_conversation.id),
        p_event,
        row_to_json(roost.describe_shared_conversation(p_conversation)),
        p_revokes => p_revokes
    );
$$;

REVOKE ALL ON FUNCTION roost.publish_conversation(roost.conversations, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_conversation(roost.conversations, text, text)
TO roost_api;

COMMENT ON FUNCTION roost.publish_conversation(roost.conversations, text, text) IS
'Tells a conversation of a change of itself. p_revokes is as for realtime.append.';

-- One expression, bound when it is made, so that the planner puts it into the statement: it costs
-- nothing there.
CREATE OR REPLACE FUNCTION roost.describe_message(p_message roost.messages)
RETURNS roost.message
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_message.id,
    p_message.conversation_id,
    p_message.seq,
    p_message.user_id,
    p_message.device_id,
    p_message.message_type,
    p_message.content,
    p_message.metadata,
    p_message.parent_message_id,
    p_message.created_at,
    p_message.updated_at
)::roost.message;

REVOKE ALL ON FUNCTION roost.describe_message(roost.messages) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_message(roost.messages) TO roost_api;

COMMENT ON FUNCTION roost.describe_message(roost.messages) IS
'A message as clients get it.';

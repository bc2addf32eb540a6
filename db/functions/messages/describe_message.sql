-- One expression, bound when it is made, so that the planner puts it into the statement: it costs
-- nothing there. A deleted message has no content in its row either.
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
    CASE WHEN p_message.deleted_at IS NULL THEN p_message.content END,
    p_message.metadata,
    p_message.parent_message_id,
    p_message.created_at,
    p_message.updated_at,
    p_message.root_message_id,
    p_message.reply_count,
    p_message.version,
    p_message.mentions,
    p_message.attachments,
    p_message.reactions,
    p_message.edited_at,
    p_message.deleted_at,
    p_message.purged_at,
    p_message.change_seq,
    p_message.parent_seq,
    p_message.root_seq
)::roost.message;

REVOKE ALL ON FUNCTION roost.describe_message(roost.messages) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_message(roost.messages) TO roost_api;

COMMENT ON FUNCTION roost.describe_message(roost.messages) IS
'A message as clients get it: by itself, in lists, in events. A deleted one has no content.';

-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_shared_conversation(p_conversation roost.conversations)
RETURNS roost.shared_conversation
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_conversation.id,
    p_conversation.user_id,
    p_conversation.title,
    p_conversation.workspace_path,
    p_conversation.metadata::jsonb,
    p_conversation.search_language,
    p_conversation.retention_days,
    p_conversation.archived_at,
    p_conversation.deleted_at,
    p_conversation.created_at,
    p_conversation.updated_at
)::roost.shared_conversation;

REVOKE ALL ON FUNCTION roost.describe_shared_conversation(roost.conversations) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_shared_conversation(roost.conversations) TO roost_api;

COMMENT ON FUNCTION roost.describe_shared_conversation(roost.conversations) IS
'What is the same for everybody in a conversation: what the events conversation.* carry.';

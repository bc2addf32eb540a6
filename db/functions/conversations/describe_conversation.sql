-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_conversation(
    p_conversation roost.conversations,
    p_participant roost.conversation_participants,
    p_last_message roost.message
)
RETURNS roost.conversation
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_conversation.id,
    p_conversation.user_id,
    p_conversation.title,
    p_conversation.workspace_path,
    p_conversation.metadata::jsonb,
    p_participant.role,
    p_conversation.last_seq,
    p_conversation.last_activity,
    p_conversation.created_at,
    p_conversation.updated_at,
    p_conversation.search_language,
    p_conversation.retention_days,
    p_conversation.archived_at,
    p_conversation.deleted_at,
    p_participant.last_read_seq,
    p_participant.last_delivered_seq,
    greatest(
        0,
        p_conversation.last_number
        - greatest(p_participant.read_number, p_conversation.expired_number)
    ),
    p_last_message,
    CASE
        WHEN roost.own_workspace_role(p_conversation.workspace_id) IS NOT NULL
            THEN p_conversation.workspace_id
    END
)::roost.conversation;

REVOKE ALL ON FUNCTION roost.describe_conversation(
    roost.conversations, roost.conversation_participants, roost.message
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_conversation(
    roost.conversations, roost.conversation_participants, roost.message
) TO roost_api;

COMMENT ON FUNCTION roost.describe_conversation(
    roost.conversations, roost.conversation_participants, roost.message
) IS
'A conversation as one of its participants gets it, with the newest message that they see.';

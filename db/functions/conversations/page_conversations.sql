-- Runs as the owner: under the policies each of a person's conversations is looked up once more,
-- which for a thousand of them takes as long as all the rest. It reads from the caller's own rows
-- alone, and answers ids; what they show is read under the policies.
CREATE OR REPLACE FUNCTION roost.page_conversations(
    p_state roost.conversation_state,
    p_page_size integer,
    p_before_activity timestamptz,
    p_before_id uuid
)
RETURNS SETOF uuid
LANGUAGE plpgsql
STABLE
ROWS 50
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_is_archived boolean := p_state = 'archived';
    v_is_deleted boolean := p_state = 'deleted';
BEGIN
    -- Sorted from the person's own conversations: an index by activity would have to be written
    -- with every message.
    RETURN QUERY
    SELECT conversation.id
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND participant.suspended = v_is_deleted
        AND CASE
            WHEN v_is_deleted
                THEN conversation.user_id = v_user_id
                    AND conversation.purged_at IS NULL
                    AND conversation.deleted_at > now() - roost.restore_period()
            ELSE (conversation.archived_at IS NOT NULL) = v_is_archived
        END
        AND (
            p_before_id IS NULL
            OR (conversation.last_activity, conversation.id) < (p_before_activity, p_before_id)
        )
    ORDER BY conversation.last_activity DESC, conversation.id DESC
    LIMIT p_page_size;
END;
$$;

REVOKE ALL ON FUNCTION roost.page_conversations(
    roost.conversation_state, integer, timestamptz, uuid
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.page_conversations(
    roost.conversation_state, integer, timestamptz, uuid
) TO roost_api;

COMMENT ON FUNCTION roost.page_conversations(
    roost.conversation_state, integer, timestamptz, uuid
) IS
'Ids of a page of the caller''s conversations, last active first. Errors: RO101.';

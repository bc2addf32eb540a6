CREATE OR REPLACE FUNCTION api.list_conversations(
    page_size integer DEFAULT 50,
    before_activity timestamptz DEFAULT NULL,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.conversation
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_conversations.page_size);

    IF (list_conversations.before_activity IS NULL) <> (list_conversations.before_id IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Half of a page position was sent.',
            HINT = 'Send both before_activity and before_id, from the last row of the page before.';
    END IF;

    -- Sorted from the person's own conversations: an index by activity would have to be written
    -- with every message.
    RETURN QUERY
    SELECT
        conversation.id,
        conversation.user_id,
        conversation.title,
        conversation.workspace_path,
        conversation.metadata::jsonb,
        participant.role,
        conversation.last_seq,
        conversation.last_activity,
        conversation.created_at,
        conversation.updated_at
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND (
            list_conversations.before_id IS NULL
            OR (conversation.last_activity, conversation.id)
            < (list_conversations.before_activity, list_conversations.before_id)
        )
    ORDER BY conversation.last_activity DESC, conversation.id DESC
    LIMIT list_conversations.page_size;
END;
$$;

ALTER FUNCTION api.list_conversations(integer, timestamptz, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_conversations(integer, timestamptz, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_conversations(integer, timestamptz, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_conversations(integer, timestamptz, uuid) IS
'Lists the caller''s conversations, last active first.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_activity and before_id, last_activity and id of the last
row of the page before.
Returns: a list of conversations.
Errors: RO101, RO302 (page size or half of a position).
Example: POST /rpc/list_conversations {"page_size": 20}';

CREATE OR REPLACE FUNCTION api.list_conversations(
    page_size integer DEFAULT 50,
    before_activity timestamptz DEFAULT NULL,
    before_id uuid DEFAULT NULL,
    state roost.conversation_state DEFAULT 'active'
)
RETURNS SETOF roost.conversation
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A conversation is left out when those before it on the page have this much content.
    c_most_bytes CONSTANT integer := 4194304;
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_conversations.page_size);

    IF (list_conversations.before_activity IS NULL) <> (list_conversations.before_id IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Half of a page position was sent.',
            HINT = 'Send both before_activity and before_id, from the last row of the page before.';
    ELSIF list_conversations.state IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said which conversations to list.',
            HINT = 'Send active, archived or deleted as state, or leave it out.';
    END IF;

    RETURN QUERY
    SELECT (page.described).*
    FROM (
        SELECT
            conversation.last_activity,
            conversation.id,
            roost.describe_conversation(conversation, participant, newest.message) AS described,
            sum(
                octet_length(conversation.metadata::text)
                + coalesce(octet_length((newest.message).content::text), 0)
                + coalesce(octet_length((newest.message).metadata::text), 0)
            ) OVER (
                ORDER BY conversation.last_activity DESC, conversation.id DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM roost.page_conversations(
            list_conversations.state,
            list_conversations.page_size,
            list_conversations.before_activity,
            list_conversations.before_id
        ) AS listed (id)
        JOIN roost.conversations AS conversation ON conversation.id = listed.id
        JOIN roost.conversation_participants AS participant
            ON participant.conversation_id = listed.id AND participant.user_id = v_user_id
        LEFT JOIN LATERAL (
            SELECT roost.describe_message(message) AS message
            FROM roost.messages AS message
            WHERE message.conversation_id = listed.id
            ORDER BY message.seq DESC
            LIMIT 1
        ) AS newest ON true
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
    ORDER BY page.last_activity DESC, page.id DESC;
END;
$$;

ALTER FUNCTION api.list_conversations(
    integer, timestamptz, uuid, roost.conversation_state
) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_conversations(
    integer, timestamptz, uuid, roost.conversation_state
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_conversations(
    integer, timestamptz, uuid, roost.conversation_state
) TO roost_user;

COMMENT ON FUNCTION api.list_conversations(
    integer, timestamptz, uuid, roost.conversation_state
) IS
'Lists the caller''s conversations, last active first.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_activity and before_id, last_activity and id of the last
row of the page before. state, active, archived, or deleted: those of the caller''s that
restore_conversation brings back.
Returns: a list of conversations, each with the newest message that the caller sees, and the
caller''s own role, markers and count of unread messages. A page ends early once it has 4 MiB of
content and metadata, so a short page need not be the last: go on from its last row until a page is
empty.
Errors: RO101, RO302 (page size, half of a position, or state is null).
Example: POST /rpc/list_conversations {"page_size": 20}';

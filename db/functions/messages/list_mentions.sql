CREATE OR REPLACE FUNCTION api.list_mentions(
    page_size integer DEFAULT 50,
    before_created_at timestamptz DEFAULT NULL,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.message
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A message is left out when those before it on the page have this much content and metadata.
    c_most_bytes CONSTANT integer := 4194304;
    v_user_id uuid := roost.require_user();
    -- Variables: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_created_at timestamptz := coalesce(list_mentions.before_created_at, 'infinity');
    v_id uuid := coalesce(list_mentions.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_conversation_ids uuid[];
BEGIN
    PERFORM roost.require_page_size(list_mentions.page_size);

    IF (list_mentions.before_created_at IS NULL) <> (list_mentions.before_id IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Half of a page position was sent.',
            HINT = 'Send both before_created_at and before_id, created_at and id of the last row of'
                ' the page before.';
    END IF;

    -- A place to begin at, however many mentions there are in conversations that the person has
    -- left: the policy would have to look up the message of each.
    v_conversation_ids := ARRAY(
        SELECT participant.conversation_id
        FROM roost.conversation_participants AS participant
        WHERE participant.user_id = v_user_id
            AND participant.left_at IS NULL
            AND NOT participant.suspended
    );

    -- Each message is looked up by itself (that is what OFFSET 0 is for): a join of all would read
    -- every message of the person before the first one is answered.
    RETURN QUERY
    SELECT (page.message).*
    FROM (
        SELECT
            listed.created_at,
            listed.id,
            roost.describe_message(listed) AS message,
            sum(octet_length(listed.content::text) + octet_length(listed.metadata::text)) OVER (
                ORDER BY listed.created_at DESC, listed.id DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM (
            SELECT found.*
            FROM roost.message_mentions AS mention
            CROSS JOIN LATERAL (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.id = mention.message_id AND message.deleted_at IS NULL
                OFFSET 0
            ) AS found
            WHERE mention.user_id = v_user_id
                AND (mention.created_at, mention.message_id) < (v_created_at, v_id)
                AND mention.conversation_id = ANY (v_conversation_ids)
            ORDER BY mention.created_at DESC, mention.message_id DESC
            LIMIT list_mentions.page_size
        ) AS listed
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
    ORDER BY page.created_at DESC, page.id DESC;
END;
$$;

ALTER FUNCTION api.list_mentions(integer, timestamptz, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_mentions(integer, timestamptz, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_mentions(integer, timestamptz, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_mentions(integer, timestamptz, uuid) IS
'Lists the messages that mention the caller, newest first, of all conversations that they may read.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_created_at and before_id, created_at and id of the last
row of the page before.
Returns: a list of messages. A page ends early once it has 4 MiB of content, so a short page need
not be the last: go on from its last row until a page is empty.
Errors: RO101, RO302 (page size or half of a position).
Example: POST /rpc/list_mentions {"page_size": 20}';

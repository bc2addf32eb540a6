CREATE OR REPLACE FUNCTION api.list_messages(
    conversation_id uuid,
    before_seq bigint DEFAULT NULL,
    after_seq bigint DEFAULT NULL,
    page_size integer DEFAULT 50
)
RETURNS SETOF roost.message
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A message is left out when those before it on the page have this many bytes.
    c_most_bytes CONSTANT integer := 4194304;
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_before bigint := coalesce(list_messages.before_seq, 9223372036854775807);
BEGIN
    PERFORM roost.require_permission(list_messages.conversation_id, 'conversation.read');
    PERFORM roost.require_page_size(list_messages.page_size);

    IF list_messages.before_seq IS NOT NULL AND list_messages.after_seq IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Two directions were asked for at once.',
            HINT = 'Send before_seq to read back, or after_seq to read on.';
    END IF;

    -- Two statements, each of which is one walk along the index for any argument.
    IF list_messages.after_seq IS NOT NULL THEN
        RETURN QUERY
        SELECT (page.message).*
        FROM (
            SELECT
                listed.seq,
                roost.describe_message(listed) AS message,
                sum(roost.message_size(listed)) OVER (
                    ORDER BY listed.seq
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.conversation_id = list_messages.conversation_id
                    AND message.seq > list_messages.after_seq
                ORDER BY message.seq
                LIMIT list_messages.page_size
            ) AS listed
        ) AS page
        WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
        ORDER BY page.seq;
    ELSE
        RETURN QUERY
        SELECT (page.message).*
        FROM (
            SELECT
                listed.seq,
                roost.describe_message(listed) AS message,
                sum(roost.message_size(listed)) OVER (
                    ORDER BY listed.seq DESC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.conversation_id = list_messages.conversation_id
                    AND message.seq < v_before
                ORDER BY message.seq DESC
                LIMIT list_messages.page_size
            ) AS listed
        ) AS page
        WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
        ORDER BY page.seq DESC;
    END IF;
END;
$$;

ALTER FUNCTION api.list_messages(uuid, bigint, bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_messages(uuid, bigint, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_messages(uuid, bigint, bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_messages(uuid, bigint, bigint, integer) IS
'Reads the messages of a conversation by their seq: newest first, or with after_seq oldest first.

Callers: participants of the conversation.
Arguments: conversation_id. before_seq, only messages before it. after_seq, only messages after it.
page_size, 1 to 200 rows.
Returns: a list of messages; the content of a deleted one is null. A page ends early once it has 4
MiB of content, so a short page need not be the last: go on from its last seq until a page is empty.
Errors: RO101, RO201 (not your conversation), RO302 (page size, or both directions).
Example: POST /rpc/list_messages {"conversation_id": "<id>", "after_seq": 40}';

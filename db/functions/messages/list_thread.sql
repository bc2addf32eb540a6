CREATE OR REPLACE FUNCTION api.list_thread(
    message_id uuid,
    after_seq bigint DEFAULT 0,
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
    v_message roost.messages := roost.require_message(list_thread.message_id);
    v_root_id uuid := coalesce(v_message.root_message_id, v_message.id);
BEGIN
    PERFORM roost.require_page_size(list_thread.page_size);

    -- What the thread began with was there before its replies, so that one order serves both.
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
            (
                SELECT root.*
                FROM roost.messages AS root
                WHERE root.conversation_id = v_message.conversation_id
                    AND root.id = v_root_id
                    AND root.seq > list_thread.after_seq
            )
            UNION ALL
            (
                SELECT reply.*
                FROM roost.messages AS reply
                WHERE reply.conversation_id = v_message.conversation_id
                    AND reply.root_message_id = v_root_id
                    AND reply.seq > list_thread.after_seq
                ORDER BY reply.seq
                LIMIT list_thread.page_size
            )
            ORDER BY seq
            LIMIT list_thread.page_size
        ) AS listed
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
    ORDER BY page.seq;
END;
$$;

ALTER FUNCTION api.list_thread(uuid, bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_thread(uuid, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_thread(uuid, bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_thread(uuid, bigint, integer) IS
'Reads a thread: the message that it began with, then all replies, also those to replies, oldest
first.

Callers: participants of the conversation who see that part of the history.
Arguments: message_id, any message of the thread. after_seq, only messages after it. page_size, 1 to
200 rows.
Returns: a list of messages; the content of a deleted one is null. A page ends early once it has 4
MiB of content, so a short page need not be the last: go on from its last seq until a page is empty.
Errors: RO101, RO201 (no such message), RO302 (page size).
Example: POST /rpc/list_thread {"message_id": "<id>"}';

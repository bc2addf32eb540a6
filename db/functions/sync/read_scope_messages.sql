-- Two statements, each of which is one walk along the index.
CREATE OR REPLACE FUNCTION roost.read_scope_messages(
    p_conversation_id uuid,
    p_after_seq bigint,
    p_before_seq bigint,
    p_is_backwards boolean,
    p_limit bigint,
    p_bytes bigint
)
RETURNS SETOF roost.scope_change
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_small CONSTANT bigint := 400;
BEGIN
    IF p_is_backwards THEN
        RETURN QUERY
        SELECT
            'message'::text, 'put'::text, page.id, page.change_offset, page.seq, page.size,
            page.value
        FROM (
            SELECT
                listed.id,
                greatest(listed.change_seq, listed.seq) AS change_offset,
                listed.seq,
                c_small + roost.message_size(listed) AS size,
                row_to_json(roost.describe_message(listed)) AS value,
                sum(c_small + roost.message_size(listed)) OVER (
                    ORDER BY listed.seq DESC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.conversation_id = p_conversation_id
                    AND message.seq > p_after_seq
                    AND message.seq < p_before_seq
                ORDER BY message.seq DESC
                LIMIT p_limit
            ) AS listed
        ) AS page
        WHERE page.bytes_before IS NULL OR page.bytes_before < p_bytes
        ORDER BY page.seq;
    ELSE
        RETURN QUERY
        SELECT
            'message'::text, 'put'::text, page.id, page.change_offset, page.seq, page.size,
            page.value
        FROM (
            SELECT
                listed.id,
                greatest(listed.change_seq, listed.seq) AS change_offset,
                listed.seq,
                c_small + roost.message_size(listed) AS size,
                row_to_json(roost.describe_message(listed)) AS value,
                sum(c_small + roost.message_size(listed)) OVER (
                    ORDER BY listed.seq
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.conversation_id = p_conversation_id
                    AND message.seq > p_after_seq
                    AND message.seq < p_before_seq
                ORDER BY message.seq
                LIMIT p_limit
            ) AS listed
        ) AS page
        WHERE page.bytes_before IS NULL OR page.bytes_before < p_bytes
        ORDER BY page.seq;
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_scope_messages(uuid, bigint, bigint, boolean, bigint, bigint)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_scope_messages(uuid, bigint, bigint, boolean, bigint, bigint)
TO roost_api;

COMMENT ON FUNCTION roost.read_scope_messages(uuid, bigint, bigint, boolean, bigint, bigint) IS
'Messages between two seqs, the first of them or (p_is_backwards) the last, p_limit and about
p_bytes at most; in order of seq, so that no answer comes before its question.';

CREATE OR REPLACE FUNCTION api.list_attachments(
    conversation_id uuid,
    before_seq bigint DEFAULT NULL,
    after_place bigint DEFAULT NULL,
    page_size integer DEFAULT 50
)
RETURNS SETOF roost.attachment
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Variables: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_seq bigint := coalesce(list_attachments.before_seq, 9223372036854775807);
    v_place bigint := coalesce(list_attachments.after_place, 9223372036854775807);
BEGIN
    PERFORM roost.require_permission(list_attachments.conversation_id, 'conversation.read');
    PERFORM roost.require_page_size(list_attachments.page_size);

    IF list_attachments.after_place IS NOT NULL AND list_attachments.before_seq IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Half of a page position was sent.',
            HINT = 'Send after_place together with before_seq: place and seq of the last row of the'
                ' page before.';
    END IF;

    -- Below the place of the last one, a page goes on within its message.
    RETURN QUERY
    SELECT
        attachment.id,
        attachment.conversation_id,
        attachment.message_id,
        attachment.seq,
        attachment.place,
        message.user_id,
        attachment.name,
        attachment.media_type,
        attachment.size,
        attachment.sha256,
        attachment.file_id,
        attachment.url,
        attachment.created_at
    FROM roost.message_attachments AS attachment
    JOIN roost.messages AS message ON message.id = attachment.message_id
    WHERE attachment.conversation_id = list_attachments.conversation_id
        AND attachment.seq <= v_seq
        AND (attachment.seq < v_seq OR attachment.place > v_place)
    ORDER BY attachment.seq DESC, attachment.place
    LIMIT list_attachments.page_size;
END;
$$;

ALTER FUNCTION api.list_attachments(uuid, bigint, bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_attachments(uuid, bigint, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_attachments(uuid, bigint, bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_attachments(uuid, bigint, bigint, integer) IS
'Lists what is attached to the messages of a conversation, newest message first and in the order of
each message. Deleted messages show none.

Callers: participants of the conversation.
Arguments: conversation_id. before_seq, only of messages before it. after_place, together with
before_seq: also of the message with that seq, those after that place; so seq and place of the last
row of a page give the next one. page_size, 1 to 200 rows.
Returns: a list of attachments, with the user_id of who sent them.
Errors: RO101, RO201 (not your conversation), RO302 (page size or half of a position).
Example: POST /rpc/list_attachments {"conversation_id": "<id>"}';

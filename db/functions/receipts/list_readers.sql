CREATE OR REPLACE FUNCTION api.list_readers(
    message_id uuid,
    page_size integer DEFAULT 50,
    after_user_id uuid DEFAULT NULL
)
RETURNS SETOF roost.reader
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_message roost.messages := roost.require_message(list_readers.message_id);
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_after_user_id uuid := coalesce(
        list_readers.after_user_id, '00000000-0000-0000-0000-000000000000'
    );
BEGIN
    PERFORM roost.require_page_size(list_readers.page_size);

    -- Whoever was added later began with all that was there as read, which says nothing of them.
    RETURN QUERY
    SELECT v_message.id, participant.user_id, participant.last_read_seq >= v_message.seq
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = v_message.conversation_id
        AND participant.user_id > v_after_user_id
        AND participant.user_id <> v_message.user_id
        AND participant.left_at IS NULL
        AND participant.joined_at <= v_message.created_at
        AND participant.last_delivered_seq >= v_message.seq
    ORDER BY participant.user_id
    LIMIT list_readers.page_size;
END;
$$;

ALTER FUNCTION api.list_readers(uuid, integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_readers(uuid, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_readers(uuid, integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_readers(uuid, integer, uuid) IS
'Lists to whom a message was delivered, and who of them has read it: of those who took part when it
was sent and still do, without its author.

Callers: participants of the conversation.
Arguments: message_id. page_size, 1 to 200 rows. after_user_id, user_id of the last row of the page
before.
Returns: a list of message_id, user_id, has_read, in order of user_id.
Errors: RO101, RO201 (no such message), RO302 (page size).
Example: POST /rpc/list_readers {"message_id": "<id>"}';

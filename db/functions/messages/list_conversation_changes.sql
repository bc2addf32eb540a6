CREATE OR REPLACE FUNCTION api.list_conversation_changes(
    conversation_id uuid,
    after_seq bigint DEFAULT 0,
    page_size integer DEFAULT 50
)
RETURNS SETOF roost.message_change
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_permission(
        list_conversation_changes.conversation_id, 'conversation.read'
    );
    PERFORM roost.require_page_size(list_conversation_changes.page_size);

    RETURN QUERY
    SELECT change.*
    FROM roost.read_message_changes(
        list_conversation_changes.conversation_id,
        NULL,
        list_conversation_changes.after_seq,
        list_conversation_changes.page_size
    ) AS change;
END;
$$;

ALTER FUNCTION api.list_conversation_changes(uuid, bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_conversation_changes(uuid, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_conversation_changes(uuid, bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_conversation_changes(uuid, bigint, integer) IS
'Reads what happened to the messages of a conversation, in order of seq.

Callers: participants of the conversation; those who see a part of the history get that part.
Arguments: conversation_id. after_seq, only changes after it. page_size, 1 to 200 rows.
Returns: a list of changes, as list_message_changes has them. A page ends early once it has 4 MiB,
so a short page need not be the last: go on from its last seq until a page is empty.
Errors: RO101, RO201 (not your conversation), RO302 (page size).
Example: POST /rpc/list_conversation_changes {"conversation_id": "<id>", "after_seq": 40}';

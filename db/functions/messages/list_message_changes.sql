CREATE OR REPLACE FUNCTION api.list_message_changes(
    message_id uuid,
    after_seq bigint DEFAULT 0,
    page_size integer DEFAULT 50
)
RETURNS SETOF roost.message_change
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_message roost.messages := roost.require_message(list_message_changes.message_id);
BEGIN
    PERFORM roost.require_page_size(list_message_changes.page_size);

    RETURN QUERY
    SELECT change.*
    FROM roost.read_message_changes(
        v_message.conversation_id,
        v_message.id,
        list_message_changes.after_seq,
        list_message_changes.page_size
    ) AS change;
END;
$$;

ALTER FUNCTION api.list_message_changes(uuid, bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_message_changes(uuid, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_message_changes(uuid, bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_message_changes(uuid, bigint, integer) IS
'Reads the history of a message, oldest change first: how it was made, edited, deleted and restored,
by whom and on which device.

Callers: participants of the conversation who see that part of the history.
Arguments: message_id. after_seq, only changes after it. page_size, 1 to 200 rows.
Returns: a list of changes: conversation_id, seq, message_id, change_type (created, updated,
deleted, restored or purged), version that it made, before and after ({"content", "metadata"}, or
null where there was none), user_id and device_id (null for the system), created_at. While a message
is deleted, before and after are null in all of its changes; after purge_message for ever. A page
ends early once it has 4 MiB, so a short page need not be the last: go on from its last seq until a
page is empty.
Errors: RO101, RO201 (no such message), RO302 (page size).
Example: POST /rpc/list_message_changes {"message_id": "<id>"}';

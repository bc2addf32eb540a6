CREATE OR REPLACE FUNCTION api.mark_read(conversation_id uuid, up_to_seq bigint)
RETURNS roost.receipt
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.move_markers(mark_read.conversation_id, mark_read.up_to_seq, true);
END;
$$;

ALTER FUNCTION api.mark_read(uuid, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.mark_read(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.mark_read(uuid, bigint) TO roost_user;

COMMENT ON FUNCTION api.mark_read(uuid, bigint) IS
'Marks the messages of a conversation as read up to a seq, on all of the caller''s devices; what is
read is delivered too. Markers only move forward: of two devices the further one counts. When one
moves, everybody in the conversation gets receipt on conversation:<id>, which carries what this
answers. Where there is no message to mark, nothing changes and nobody is told. With the newest
message marked, nothing is unread.

Callers: participants of the conversation.
Arguments: conversation_id. up_to_seq, the seq of the last message that was read.
Returns: the receipt, an object: conversation_id, user_id, last_read_seq, last_delivered_seq,
unread_count.
Errors: RO101, RO201 (not your conversation), RO302 (up_to_seq is beyond the newest event).
Example: POST /rpc/mark_read {"conversation_id": "<id>", "up_to_seq": 40}';

CREATE OR REPLACE FUNCTION api.mark_delivered(conversation_id uuid, up_to_seq bigint)
RETURNS roost.receipt
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.move_markers(mark_delivered.conversation_id, mark_delivered.up_to_seq, false);
END;
$$;

ALTER FUNCTION api.mark_delivered(uuid, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.mark_delivered(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.mark_delivered(uuid, bigint) TO roost_user;

COMMENT ON FUNCTION api.mark_delivered(uuid, bigint) IS
'Marks the messages of a conversation as delivered up to a seq: a device of the caller has them. The
marker only moves forward. When it moves, everybody in the conversation gets receipt on
conversation:<id>, which carries what this answers. Where there is no message to mark, nothing
changes and nobody is told.

Callers: participants of the conversation.
Arguments: conversation_id. up_to_seq, the seq of the last message that a device received.
Returns: the receipt, an object, as mark_read.
Errors: RO101, RO201 (not your conversation), RO302 (up_to_seq is beyond the newest event).
Example: POST /rpc/mark_delivered {"conversation_id": "<id>", "up_to_seq": 40}';

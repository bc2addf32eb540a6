CREATE OR REPLACE FUNCTION api.purge_conversation(conversation_id uuid)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.purge_owned_conversation(purge_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.purge_conversation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.purge_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.purge_conversation(uuid) TO roost_user;

COMMENT ON FUNCTION api.purge_conversation(uuid) IS
'Deletes a conversation for good, whether it was deleted before or not: nobody reads it from then
on, and nothing brings it back. Up to 1,000 messages go with the call, more of them soon after.
Everybody in it gets conversation.deleted, and conversation.removed in their inbox; events that are
still in an inbox name its title no more.

Callers: the owner of the conversation.
Arguments: conversation_id.
Returns: nothing.
Errors: RO101, RO201 (not your conversation, or gone), RO202 (role too low).
Example: POST /rpc/purge_conversation {"conversation_id": "<id>"}';

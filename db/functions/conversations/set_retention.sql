CREATE OR REPLACE FUNCTION api.set_retention(conversation_id uuid, retention_days bigint)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations;
BEGIN
    PERFORM roost.lock_conversation(set_retention.conversation_id, 'conversation.retain');

    UPDATE roost.conversations AS conversation
    SET retention_days = set_retention.retention_days
    WHERE conversation.id = set_retention.conversation_id
        AND conversation.retention_days IS DISTINCT FROM set_retention.retention_days
    RETURNING conversation.* INTO v_conversation;

    IF FOUND THEN
        PERFORM roost.publish_conversation(v_conversation, 'conversation.updated');
    END IF;

    RETURN roost.own_conversation(set_retention.conversation_id);
END;
$$;

ALTER FUNCTION api.set_retention(uuid, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.set_retention(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.set_retention(uuid, bigint) TO roost_user;

COMMENT ON FUNCTION api.set_retention(uuid, bigint) IS
'Says for how long the messages of a conversation are kept; older ones are deleted for good by a job
of the server. Everybody in it gets conversation.updated.

Callers: the owner of the conversation.
Arguments: conversation_id. retention_days, 1 to 36500 days, or null to keep messages for ever.
Returns: the conversation, an object.
Errors: RO101, RO201 (not your conversation), RO202 (role too low), 23514 (out of range).
Example: POST /rpc/set_retention {"conversation_id": "<id>", "retention_days": 90}';

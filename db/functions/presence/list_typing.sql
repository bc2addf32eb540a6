CREATE OR REPLACE FUNCTION api.list_typing(conversation_id uuid)
RETURNS SETOF roost.typing
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 200;
BEGIN
    PERFORM roost.require_permission(list_typing.conversation_id, 'conversation.read');

    RETURN QUERY
    SELECT
        indicator.conversation_id,
        indicator.user_id,
        indicator.device_id,
        true,
        indicator.expires_at
    FROM roost.typing_indicators AS indicator
    JOIN roost.conversation_participants AS participant
        ON participant.conversation_id = indicator.conversation_id
        AND participant.user_id = indicator.user_id
        AND participant.left_at IS NULL
    WHERE indicator.conversation_id = list_typing.conversation_id
        AND indicator.expires_at > now()
    ORDER BY indicator.user_id, indicator.device_id
    LIMIT c_most;
END;
$$;

ALTER FUNCTION api.list_typing(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_typing(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_typing(uuid) TO roost_user;

COMMENT ON FUNCTION api.list_typing(uuid) IS
'Lists who is typing in a conversation at this moment, by device.

Callers: participants of the conversation.
Arguments: conversation_id.
Returns: a list of at most 200, each as set_typing answers it.
Errors: RO101, RO201 (not your conversation).
Example: POST /rpc/list_typing {"conversation_id": "<id>"}';

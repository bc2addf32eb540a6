CREATE OR REPLACE FUNCTION api.get_message(message_id uuid)
RETURNS roost.message
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.describe_message(roost.require_message(get_message.message_id));
END;
$$;

ALTER FUNCTION api.get_message(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_message(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_message(uuid) TO roost_user;

COMMENT ON FUNCTION api.get_message(uuid) IS
'Reads one message.

Callers: participants of its conversation who see that part of the history.
Arguments: message_id.
Returns: the message, an object; the content of a deleted one is null.
Errors: RO101, RO201 (no such message).
Example: POST /rpc/get_message {"message_id": "<id>"}';

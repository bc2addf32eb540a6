CREATE OR REPLACE FUNCTION api.list_device_messages(
    after_number bigint DEFAULT 0,
    page_size integer DEFAULT 50
)
RETURNS SETOF roost.device_message
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device_id uuid := roost.current_device_id();
    v_after_number bigint := coalesce(list_device_messages.after_number, 0);
BEGIN
    PERFORM roost.require_page_size(list_device_messages.page_size);

    RETURN QUERY
    SELECT described.*
    FROM roost.device_messages AS message
    CROSS JOIN LATERAL roost.describe_device_message(message) AS described
    WHERE message.to_device_id = v_device_id
        AND message.user_id = v_user_id
        AND message.number > v_after_number
        AND message.expires_at > now()
    ORDER BY message.number
    LIMIT list_device_messages.page_size;
END;
$$;

ALTER FUNCTION api.list_device_messages(bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_device_messages(bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_device_messages(bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_device_messages(bigint, integer) IS
'Lists the messages that wait for the calling device, in the order in which they were sent. They
wait until they are acknowledged: reading takes nothing away.

Callers: signed-in people.
Arguments: after_number, number of the last message of the page before; numbers are in the order of
commits, so nothing comes in below. page_size, 1 to 200 rows.
Returns: a list of messages, as send_device_message answers them.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_device_messages {}';

CREATE OR REPLACE FUNCTION api.acknowledge_device_messages(ids uuid[])
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_user();

    IF (cardinality(acknowledge_device_messages.ids) <= 1000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The list of ids is too long, or missing.',
            DETAIL = format(
                'Ids: %s',
                coalesce(cardinality(acknowledge_device_messages.ids)::text, 'null')
            ),
            HINT = 'Send at most 1,000 ids of messages that this device has received.';
    END IF;

    RETURN roost.finish_device_messages(acknowledge_device_messages.ids, 'acknowledged');
END;
$$;

ALTER FUNCTION api.acknowledge_device_messages(uuid[]) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.acknowledge_device_messages(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.acknowledge_device_messages(uuid[]) TO roost_user;

COMMENT ON FUNCTION api.acknowledge_device_messages(uuid[]) IS
'Deletes messages to the calling device, which has done what they ask for: for good, from stored
events too. Each of the devices that sent them gets device_message.acknowledged on device:<id>, with
id and device_id. Ids that are not of messages to this device, or no longer, are passed over.

Callers: signed-in people.
Arguments: ids, of at most 1,000 messages.
Returns: how many were deleted by this call.
Errors: RO101, RO302 (too many ids).
Example: POST /rpc/acknowledge_device_messages {"ids": ["<id>"]}';

CREATE OR REPLACE FUNCTION api.list_devices(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.device
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_devices.page_size);

    RETURN QUERY
    SELECT described.*
    FROM roost.devices AS device
    CROSS JOIN LATERAL roost.describe_device(device) AS described
    WHERE device.user_id = v_user_id
        AND (list_devices.before_id IS NULL OR device.id < list_devices.before_id)
    ORDER BY device.id DESC
    LIMIT list_devices.page_size;
END;
$$;

ALTER FUNCTION api.list_devices(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_devices(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_devices(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_devices(integer, uuid) IS
'Lists the caller''s devices, newest first, revoked ones included; current marks the one that asks.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of devices.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_devices {}';

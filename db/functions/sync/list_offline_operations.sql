CREATE OR REPLACE FUNCTION api.list_offline_operations(
    status roost.offline_status DEFAULT NULL,
    device_id uuid DEFAULT NULL,
    page_size integer DEFAULT 50,
    before_position bigint DEFAULT NULL
)
RETURNS SETOF roost.offline_operation
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_status text := list_offline_operations.status::text;
    v_device_id uuid := coalesce(list_offline_operations.device_id, roost.current_device_id());
    v_before bigint := coalesce(list_offline_operations.before_position, 9223372036854775807);
BEGIN
    PERFORM roost.require_page_size(list_offline_operations.page_size);

    -- Two statements, so that each has a plan of its own.
    IF v_status IS NOT NULL THEN
        RETURN QUERY
        SELECT (roost.describe_offline_operation(operation, true)).*
        FROM roost.offline_operations AS operation
        WHERE operation.device_id = v_device_id
            AND operation.user_id = v_user_id
            AND operation.status = v_status
            AND operation.position < v_before
        ORDER BY operation.position DESC
        LIMIT list_offline_operations.page_size;
    ELSE
        RETURN QUERY
        SELECT (roost.describe_offline_operation(operation, true)).*
        FROM roost.offline_operations AS operation
        WHERE operation.device_id = v_device_id
            AND operation.user_id = v_user_id
            AND operation.position < v_before
        ORDER BY operation.position DESC
        LIMIT list_offline_operations.page_size;
    END IF;
END;
$$;

ALTER FUNCTION api.list_offline_operations(
    roost.offline_status, uuid, integer, bigint
) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_offline_operations(
    roost.offline_status, uuid, integer, bigint
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_offline_operations(
    roost.offline_status, uuid, integer, bigint
) TO roost_user;

COMMENT ON FUNCTION api.list_offline_operations(
    roost.offline_status, uuid, integer, bigint
) IS
'Lists what a device of the caller''s has enqueued, last first, and what has become of it. What
was completed or discarded stays for 30 days.

Callers: signed-in people.
Arguments: status, only pending, completed, failed or discarded. device_id, a device of the
caller''s; the one that calls unless said otherwise. page_size, 1 to 200 rows. before_position,
position of the last row of the page before.
Returns: a list: id, device_id, position, kind, target_id, base_version, policy, depends_on with
what it depends on without saying so, status; args, until it is done as it says; retry_count,
max_retries, next_attempt_at, empty while it waits for others; code, message, details and hint of
the last error; conflict_id; result, ids and numbers that the function answered; queued_at by the
device''s clock, created_at, completed_at.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_offline_operations {"status": "failed"}';

CREATE OR REPLACE FUNCTION api.list_sync_operations(
    device_id uuid DEFAULT NULL,
    outcome roost.operation_outcome DEFAULT NULL,
    kind text DEFAULT NULL,
    page_size integer DEFAULT 50,
    before_id bigint DEFAULT NULL
)
RETURNS SETOF roost.sync_operation
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device_id uuid := coalesce(list_sync_operations.device_id, roost.current_device_id());
    v_before_id bigint := coalesce(list_sync_operations.before_id, 9223372036854775807);
BEGIN
    PERFORM roost.require_page_size(list_sync_operations.page_size);

    -- What failed is little among much, and has an index of its own.
    IF list_sync_operations.outcome <> 'applied' THEN
        RETURN QUERY
        SELECT (roost.describe_operation(operation)).*
        FROM roost.sync_operations AS operation
        WHERE operation.device_id = v_device_id
            AND operation.user_id = v_user_id
            AND operation.code IS NOT NULL
            AND operation.outcome = list_sync_operations.outcome
            AND operation.operation_id < v_before_id
            AND (list_sync_operations.kind IS NULL OR operation.kind = list_sync_operations.kind)
        ORDER BY operation.operation_id DESC
        LIMIT list_sync_operations.page_size;
    ELSE
        RETURN QUERY
        SELECT (roost.describe_operation(operation)).*
        FROM roost.sync_operations AS operation
        WHERE operation.device_id = v_device_id
            AND operation.user_id = v_user_id
            AND (list_sync_operations.outcome IS NULL OR operation.code IS NULL)
            AND operation.operation_id < v_before_id
            AND (list_sync_operations.kind IS NULL OR operation.kind = list_sync_operations.kind)
        ORDER BY operation.operation_id DESC
        LIMIT list_sync_operations.page_size;
    END IF;
END;
$$;

ALTER FUNCTION api.list_sync_operations(
    uuid, roost.operation_outcome, text, integer, bigint
) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_sync_operations(
    uuid, roost.operation_outcome, text, integer, bigint
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_sync_operations(
    uuid, roost.operation_outcome, text, integer, bigint
) TO roost_user;

COMMENT ON FUNCTION api.list_sync_operations(
    uuid, roost.operation_outcome, text, integer, bigint
) IS
'Lists operations that a device of the caller''s has pushed within 30 days, newest first, and what
became of them.

Callers: signed-in people.
Arguments: device_id, a device of the caller''s; the one that calls unless said otherwise. outcome,
only applied, conflict, rejected or deferred. kind, only those. page_size, 1 to 200 rows. before_id,
id of the last row of the page before.
Returns: a list: id, device_id, kind, target_id, base_version, policy, outcome; code, message,
details and hint of what failed; conflict_id; args of what was not done as it says; result, ids and
numbers that the function answered; queued_at by the device''s clock, applied_at, took_ms.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_sync_operations {"outcome": "rejected"}';

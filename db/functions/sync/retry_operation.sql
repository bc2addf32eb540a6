CREATE OR REPLACE FUNCTION api.retry_operation(operation_id uuid)
RETURNS roost.offline_operation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_row roost.offline_operations := roost.require_offline_operation(retry_operation.operation_id);
    v_discarded_id text;
    v_waits boolean;
BEGIN
    IF v_row.status = 'discarded' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The operation was discarded.',
            DETAIL = format('Operation: %s', v_row.id),
            HINT = 'Enqueue it again under a new id.';
    END IF;

    SELECT
        min(needed.id::text) FILTER (WHERE needed.status = 'discarded'),
        coalesce(bool_or(needed.status <> 'completed'), false)
    INTO v_discarded_id, v_waits
    FROM unnest(v_row.depends_on) AS named (id)
    JOIN roost.offline_operations AS needed
        ON needed.user_id = v_row.user_id AND needed.id = named.id;

    IF v_discarded_id IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO306',
            MESSAGE = 'It depends on an operation that was discarded.',
            DETAIL = format('Operation: %s; depends on: %s', v_row.id, v_discarded_id),
            HINT = 'Discard it too, or enqueue it under a new id without that one.';
    END IF;

    UPDATE roost.offline_operations AS operation
    SET status = 'pending',
        retry_count = 0,
        next_attempt_at = CASE WHEN NOT v_waits THEN now() END
    WHERE operation.user_id = v_row.user_id AND operation.id = v_row.id
    RETURNING operation.* INTO STRICT v_row;

    PERFORM roost.schedule_offline_queue(v_row.device_id, 0);

    RETURN roost.describe_offline_operation(v_row, true);
END;
$$;

ALTER FUNCTION api.retry_operation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.retry_operation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.retry_operation(uuid) TO roost_user;

COMMENT ON FUNCTION api.retry_operation(uuid) IS
'Has an operation that has failed tried again, at once and with all its retries; one that is to be
tried again later is tried at once. Whichever device of the person calls.

Callers: the person whose operation it is.
Arguments: operation_id, of an operation from list_offline_operations.
Returns: the operation, an object as list_offline_operations answers it.
Errors: RO101, RO201 (no such operation), RO303 (it was completed or discarded), RO306 (it depends
on one that was discarded).
Example: POST /rpc/retry_operation {"operation_id": "<id>"}';

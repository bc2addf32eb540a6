CREATE OR REPLACE FUNCTION api.discard_operation(operation_id uuid)
RETURNS roost.offline_operation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_row roost.offline_operations := roost.require_offline_operation(
        discard_operation.operation_id
    );
BEGIN
    IF v_row.status <> 'discarded' THEN
        UPDATE roost.offline_operations AS operation
        SET status = 'discarded',
            next_attempt_at = NULL,
            args = NULL,
            base = NULL,
            completed_at = now()
        WHERE operation.user_id = v_row.user_id AND operation.id = v_row.id;

        -- As it was before, for the answer: nothing has it afterwards.
        v_row.status := 'discarded';
        v_row.next_attempt_at := NULL;
        v_row.completed_at := now();

        PERFORM roost.publish_offline_operations(v_row.id || roost.fail_dependants(v_row.id));
        PERFORM roost.schedule_offline_queue(v_row.device_id, 0);
    END IF;

    RETURN roost.describe_offline_operation(v_row, true);
END;
$$;

ALTER FUNCTION api.discard_operation(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.discard_operation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.discard_operation(uuid) TO roost_user;

COMMENT ON FUNCTION api.discard_operation(uuid) IS
'Gives an operation up that is pending or has failed: it is never carried out. Pending ones that
depend on it fail with RO306. All devices of the person get offline_operation.discarded, and
offline_operation.failed for those, on user:<id>. Discarding it again changes nothing.

Callers: the person whose operation it is, on whichever device.
Arguments: operation_id, of an operation from list_offline_operations.
Returns: the operation, an object as list_offline_operations answers it.
Errors: RO101, RO201 (no such operation), RO303 (it was completed).
Example: POST /rpc/discard_operation {"operation_id": "<id>"}';

-- Read again under the lock: a worker may have carried it out meanwhile.
CREATE OR REPLACE FUNCTION roost.require_offline_operation(p_id uuid)
RETURNS roost.offline_operations
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_row roost.offline_operations;
BEGIN
    PERFORM roost.lock_offline_queue(operation.device_id)
    FROM roost.offline_operations AS operation
    WHERE operation.user_id = v_user_id AND operation.id = p_id;

    SELECT operation.*
    INTO v_row
    FROM roost.offline_operations AS operation
    WHERE operation.user_id = v_user_id AND operation.id = p_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such operation.',
            DETAIL = format('Operation: %s', coalesce(p_id::text, 'null')),
            HINT = 'Send the id of an operation from list_offline_operations.';
    ELSIF v_row.status = 'completed' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The operation was carried out already.',
            DETAIL = row_to_json(roost.describe_offline_operation(v_row, false))::text,
            HINT = 'Change what is there now by another operation or call.';
    END IF;

    RETURN v_row;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_offline_operation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_offline_operation(uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_offline_operation(uuid) IS
'The operation of the caller''s with this id, its queue locked to the end of the transaction.
Raises RO201 where there is none, RO303 where it was completed.';

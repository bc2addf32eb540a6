CREATE OR REPLACE FUNCTION roost.find_earlier_edit(p_operation roost.device_operation)
RETURNS roost.earlier_edit
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
-- A plan from when there were a few operations would read all of them for each of a long batch.
SET enable_seqscan = off
AS $$
DECLARE
    v_earlier roost.earlier_edit;
BEGIN
    IF p_operation.offline_id IS NULL THEN
        SELECT earlier.operation_id, NULL::uuid, earlier.base_version, earlier.args, earlier.code
        INTO v_earlier
        FROM roost.sync_operations AS earlier
        WHERE earlier.device_id = roost.current_device_id()
            AND earlier.user_id = roost.current_user_id()
            AND earlier.target_id = p_operation.target_id
            AND earlier.kind = 'edit_message'
        ORDER BY earlier.operation_id DESC
        LIMIT 1;
    ELSE
        SELECT
            NULL::bigint,
            earlier.id,
            earlier.base_version,
            earlier.args,
            CASE WHEN earlier.status = 'completed' THEN earlier.code ELSE 'RO306' END
        INTO v_earlier
        FROM roost.offline_operations AS earlier
        WHERE earlier.device_id = roost.current_device_id()
            AND earlier.user_id = roost.current_user_id()
            AND earlier.target_id = p_operation.target_id
            AND earlier.kind = 'edit_message'
            AND earlier.position < (
                SELECT own.position
                FROM roost.offline_operations AS own
                WHERE own.user_id = roost.current_user_id() AND own.id = p_operation.offline_id
            )
        ORDER BY earlier.position DESC
        LIMIT 1;
    END IF;

    RETURN v_earlier;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_earlier_edit(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_earlier_edit(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.find_earlier_edit(roost.device_operation) IS
'The last edit of the same message that the calling device has made before this one, by the way
that this one has come.';

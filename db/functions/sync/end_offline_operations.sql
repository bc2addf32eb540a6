CREATE OR REPLACE FUNCTION roost.end_offline_operations(
    p_device_id uuid,
    p_is_revoked boolean,
    p_limit integer
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ids uuid[] := ARRAY(
        SELECT operation.id
        FROM roost.offline_operations AS operation
        WHERE operation.device_id = p_device_id
            AND operation.user_id = roost.current_user_id()
            AND (
                operation.status = 'pending' OR (p_is_revoked AND operation.status = 'failed')
            )
        ORDER BY operation.position
        LIMIT p_limit
    );
BEGIN
    UPDATE roost.offline_operations AS operation
    SET status = CASE WHEN p_is_revoked THEN 'discarded' ELSE 'failed' END,
        next_attempt_at = NULL,
        args = CASE WHEN NOT p_is_revoked THEN operation.args END,
        base = CASE WHEN NOT p_is_revoked THEN operation.base END,
        code = CASE WHEN p_is_revoked THEN 'RO202' ELSE 'RO103' END,
        message = CASE
            WHEN p_is_revoked THEN 'The device was revoked.'
            ELSE 'The account is not active.'
        END,
        details = format('Device: %s', p_device_id),
        hint = CASE
            WHEN p_is_revoked THEN 'Do it again on another device.'
            ELSE 'Retry it with retry_operation when the account is active again.'
        END,
        completed_at = CASE WHEN p_is_revoked THEN now() END
    WHERE operation.user_id = roost.current_user_id() AND operation.id = ANY (v_ids);

    PERFORM roost.publish_offline_operations(v_ids);
    PERFORM roost.schedule_offline_queue(p_device_id, 0);

    RETURN cardinality(v_ids);
END;
$$;

REVOKE ALL ON FUNCTION roost.end_offline_operations(uuid, boolean, integer) FROM PUBLIC;

COMMENT ON FUNCTION roost.end_offline_operations(uuid, boolean, integer) IS
'Ends up to p_limit operations of a device of the caller''s that are not to be done: discarded
where the device is revoked, else failed, since the account is not active. Answers how many. To be
called under the lock on the device''s row of sync_devices.';

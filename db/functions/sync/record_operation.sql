CREATE OR REPLACE FUNCTION roost.record_operation(
    p_sent jsonb,
    p_operation roost.device_operation,
    p_answer roost.pushed_operation,
    p_is_as_sent boolean,
    p_began timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO roost.sync_operations (
        device_id, user_id, operation_id, kind, target_id, base_version, policy, args, body_hash,
        outcome, code, message, details, hint, conflict_id, result, queued_at, applied_at, took_ms
    )
    VALUES (
        roost.current_device_id(),
        roost.current_user_id(),
        p_answer.id,
        left(coalesce(p_sent ->> 'kind', ''), 64),
        p_operation.target_id,
        p_operation.base_version,
        p_operation.policy,
        CASE WHEN p_is_as_sent IS NOT TRUE THEN p_operation.args END,
        roost.hash_operation(p_sent),
        p_answer.outcome,
        p_answer.code,
        left(p_answer.message, 1000),
        -- Not what somebody else has written, which may be deleted.
        CASE WHEN p_answer.code <> 'RO303' OR p_answer.outcome = 'conflict'
            THEN left(p_answer.details, 1000)
        END,
        left(p_answer.hint, 1000),
        p_answer.conflict_id,
        roost.keep_numbers(p_answer.result),
        p_operation.queued_at,
        clock_timestamp(),
        1000 * extract(EPOCH FROM clock_timestamp() - p_began)::double precision
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.record_operation(
    jsonb, roost.device_operation, roost.pushed_operation, boolean, timestamptz
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.record_operation(
    jsonb, roost.device_operation, roost.pushed_operation, boolean, timestamptz
) TO roost_api;

COMMENT ON FUNCTION roost.record_operation(
    jsonb, roost.device_operation, roost.pushed_operation, boolean, timestamptz
) IS
'Keeps what became of an operation of the calling device. p_is_as_sent says whether what was done is
what it says: then its arguments are not kept. p_began is when it was taken up.';

-- The inner block is a savepoint: what fails in it leaves nothing behind, no row, no event, and no
-- topic to wake. What is nobody's mistake and may succeed the next time is not caught: it rolls
-- back the whole batch, which the server or the device then sends again.
CREATE OR REPLACE FUNCTION roost.take_operation(p_sent jsonb)
RETURNS roost.pushed_operation
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_operation roost.device_operation;
    v_effect roost.operation_effect;
    v_answer roost.pushed_operation;
    v_constraint text;
    v_began timestamptz := clock_timestamp();
BEGIN
    v_answer.id := (p_sent ->> 'id')::bigint;

    BEGIN
        v_operation := roost.read_operation(p_sent);
        PERFORM roost.require_dependencies(v_operation);
        v_effect := roost.carry_out_operation(v_operation);
        v_answer.conflict_id := v_effect.conflict_id;
        v_answer.result := v_effect.result;

        IF v_effect.is_open THEN
            v_answer.outcome := 'conflict';
            v_answer.code := 'RO303';
            v_answer.message := 'It was changed since the version that the operation is based on.';
            v_answer.details := format('Conflict: %s', v_answer.conflict_id);
            v_answer.hint := 'Decide it with resolve_conflict.';
        ELSE
            v_answer.outcome := 'applied';
        END IF;
    EXCEPTION
        WHEN OTHERS THEN
            IF SQLSTATE ~ '^(08|25|40|53|55|57|58)' THEN
                RAISE;
            END IF;

            GET STACKED DIAGNOSTICS
                v_answer.code = RETURNED_SQLSTATE,
                v_answer.message = MESSAGE_TEXT,
                v_answer.details = PG_EXCEPTION_DETAIL,
                v_answer.hint = PG_EXCEPTION_HINT,
                v_constraint = CONSTRAINT_NAME;
            v_answer.outcome := CASE v_answer.code
                WHEN 'RO306' THEN 'deferred'::roost.operation_outcome
                ELSE 'rejected'
            END;
            v_answer.details := nullif(v_answer.details, '');
            v_answer.hint := coalesce(
                nullif(v_answer.hint, ''), roost.error_cure(v_answer.code, v_constraint)
            );
    END;

    INSERT INTO roost.sync_operations (
        device_id, user_id, operation_id, kind, target_id, base_version, policy, args, body_hash,
        outcome, code, message, details, hint, conflict_id, result, queued_at, applied_at, took_ms
    )
    VALUES (
        roost.current_device_id(),
        roost.current_user_id(),
        v_answer.id,
        left(coalesce(p_sent ->> 'kind', ''), 64),
        v_operation.target_id,
        v_operation.base_version,
        v_operation.policy,
        CASE WHEN v_effect.is_as_sent IS NOT TRUE THEN v_operation.args END,
        roost.hash_operation(p_sent),
        v_answer.outcome,
        v_answer.code,
        left(v_answer.message, 1000),
        -- Not what somebody else has written, which may be deleted.
        CASE WHEN v_answer.code <> 'RO303' OR v_effect.is_open
            THEN left(v_answer.details, 1000)
        END,
        left(v_answer.hint, 1000),
        v_answer.conflict_id,
        roost.keep_numbers(v_answer.result),
        v_operation.queued_at,
        clock_timestamp(),
        1000 * extract(EPOCH FROM clock_timestamp() - v_began)::double precision
    );

    RETURN v_answer;
END;
$$;

REVOKE ALL ON FUNCTION roost.take_operation(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.take_operation(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.take_operation(jsonb) IS
'Carries out the next operation of the calling device in a savepoint of its own, and records what
became of it. To be called under the lock on its row of sync_devices, which has to count it then.
Raises what the next try may not meet, such as a deadlock, and nothing else.';

-- The inner block is a savepoint: what fails in it leaves nothing behind, no row, no event, no
-- topic to wake, and no lock. A deadlock or a lock that does not come is a failure like others:
-- those behind it go on, and this one is tried again.
CREATE OR REPLACE FUNCTION roost.take_offline_operation(p_operation roost.offline_operations)
RETURNS roost.offline_operations
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_effect roost.operation_effect;
    v_row roost.offline_operations := p_operation;
    v_constraint text;
    v_timeout interval := current_setting('statement_timeout')::interval;
BEGIN
    v_row.code := NULL;
    v_row.message := NULL;
    v_row.details := NULL;
    v_row.hint := NULL;

    BEGIN
        IF p_operation.args IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO305',
                MESSAGE = 'What it is about was deleted for good.',
                DETAIL = format('Target: %s', p_operation.target_id),
                HINT = 'Discard it.';
        END IF;

        v_effect := roost.carry_out_operation(ROW(
            NULL,
            p_operation.id,
            p_operation.kind,
            p_operation.target_id,
            p_operation.args,
            p_operation.base_version,
            p_operation.base,
            p_operation.policy,
            NULL,
            p_operation.queued_at
        )::roost.device_operation);

        v_row.status := 'completed';
        v_row.conflict_id := v_effect.conflict_id;
        v_row.result := roost.keep_numbers(v_effect.result);
        v_row.next_attempt_at := NULL;
        v_row.completed_at := clock_timestamp();

        IF v_effect.is_open THEN
            v_row.code := 'RO303';
            v_row.message := 'It was changed since the version that the operation is based on.';
            v_row.details := format('Conflict: %s', v_row.conflict_id);
            v_row.hint := 'Decide it with resolve_conflict.';
        END IF;
    EXCEPTION
        -- The last two are not among OTHERS.
        WHEN OTHERS OR query_canceled OR assert_failure THEN
            -- Where it was not the time that was over, a server ends that has begun this: it is not
            -- the operation's failure. Else whoever calls stops, for there is no second time.
            IF SQLSTATE = '57014' AND (
                v_timeout = interval '0' OR clock_timestamp() < statement_timestamp() + v_timeout
            ) THEN
                RAISE;
            END IF;

            GET STACKED DIAGNOSTICS
                v_row.code = RETURNED_SQLSTATE,
                v_row.message = MESSAGE_TEXT,
                v_row.details = PG_EXCEPTION_DETAIL,
                v_row.hint = PG_EXCEPTION_HINT,
                v_constraint = CONSTRAINT_NAME;
            v_row.message := left(v_row.message, 1000);
            -- Not what somebody else has written, which may be deleted.
            v_row.details := CASE WHEN v_row.code <> 'RO303' THEN
                nullif(left(v_row.details, 1000), '')
            END;
            v_row.hint := left(
                coalesce(nullif(v_row.hint, ''), roost.error_cure(v_row.code, v_constraint)), 1000
            );

            IF p_operation.retry_count < p_operation.max_retries THEN
                -- 1 second, 2, 4 and so on to 5 minutes, not all in the same moment.
                v_row.next_attempt_at := clock_timestamp()
                    + least(interval '1 second' * 2 ^ p_operation.retry_count, interval '5 minutes')
                    * (0.5 + random());
                v_row.retry_count := p_operation.retry_count + 1;
            ELSE
                v_row.status := 'failed';
                v_row.next_attempt_at := NULL;
            END IF;
    END;

    UPDATE roost.offline_operations AS operation
    SET status = v_row.status,
        retry_count = v_row.retry_count,
        next_attempt_at = v_row.next_attempt_at,
        code = v_row.code,
        message = v_row.message,
        details = v_row.details,
        hint = v_row.hint,
        conflict_id = v_row.conflict_id,
        result = v_row.result,
        -- Not what was read before: it may have been deleted for good meanwhile.
        args = CASE WHEN v_effect.is_as_sent IS NOT TRUE THEN operation.args END,
        base = CASE WHEN v_row.status <> 'completed' THEN operation.base END,
        completed_at = v_row.completed_at
    WHERE operation.user_id = p_operation.user_id AND operation.id = p_operation.id;

    IF v_row.status = 'completed' THEN
        PERFORM roost.release_dependants(p_operation.id);
    END IF;

    RETURN v_row;
END;
$$;

REVOKE ALL ON FUNCTION roost.take_offline_operation(roost.offline_operations) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.take_offline_operation(roost.offline_operations) TO roost_api;

COMMENT ON FUNCTION roost.take_offline_operation(roost.offline_operations) IS
'Carries out an operation of the calling device''s queue in a savepoint of its own, and records
what has become of it: completed, pending until the next attempt, or failed. To be called under
the lock on the device''s row of sync_devices.';

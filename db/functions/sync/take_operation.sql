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
    v_answer roost.pushed_operation;
    v_constraint text;
    v_began timestamptz := clock_timestamp();
BEGIN
    BEGIN
        v_operation := roost.read_operation(p_sent, false);

        RETURN roost.attempt_operation(p_sent, v_operation);
    EXCEPTION
        -- The last is not among OTHERS. It ran for the greater part of the time by itself: what
        -- else took so long would be over the next time.
        WHEN OTHERS OR query_canceled THEN
            IF roost.is_passing(SQLSTATE)
                AND NOT (SQLSTATE = '57014' AND roost.is_out_of_time(v_began))
            THEN
                RAISE;
            END IF;

            GET STACKED DIAGNOSTICS
                v_answer.code = RETURNED_SQLSTATE,
                v_answer.message = MESSAGE_TEXT,
                v_answer.details = PG_EXCEPTION_DETAIL,
                v_answer.hint = PG_EXCEPTION_HINT,
                v_constraint = CONSTRAINT_NAME;
    END;

    v_answer.id := (p_sent ->> 'id')::bigint;
    v_answer.outcome := CASE v_answer.code
        WHEN 'RO306' THEN 'deferred'::roost.operation_outcome
        ELSE 'rejected'
    END;
    v_answer.details := nullif(v_answer.details, '');
    v_answer.hint := coalesce(
        nullif(v_answer.hint, ''), roost.error_cure(v_answer.code, v_constraint)
    );

    PERFORM roost.record_operation(p_sent, v_operation, v_answer, false, v_began);

    RETURN v_answer;
END;
$$;

REVOKE ALL ON FUNCTION roost.take_operation(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.take_operation(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.take_operation(jsonb) IS
'Carries out an operation of the calling device in a savepoint of its own, and records what became
of it. Raises what the next try may not meet, such as a deadlock, and nothing else.';

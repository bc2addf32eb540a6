-- It had begun before api.push_operations begins no more, so for the greater part of the time it
-- ran by itself.
CREATE OR REPLACE FUNCTION roost.end_late_operation(
    p_before jsonb[],
    p_sent jsonb,
    p_operation roost.device_operation,
    p_answer roost.pushed_operation,
    p_began timestamptz
)
RETURNS roost.pushed_operation[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_one jsonb;
    v_answers roost.pushed_operation[] := '{}'::roost.pushed_operation[];
BEGIN
    FOREACH v_one IN ARRAY p_before LOOP
        v_answers := v_answers || roost.take_operation(v_one);
    END LOOP;

    p_answer.id := (p_sent ->> 'id')::bigint;
    p_answer.outcome := 'rejected';
    p_answer.hint := roost.error_cure(p_answer.code, NULL);
    PERFORM roost.record_operation(p_sent, p_operation, p_answer, false, p_began);

    RETURN v_answers || p_answer;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_late_operation(
    jsonb[], jsonb, roost.device_operation, roost.pushed_operation, timestamptz
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.end_late_operation(
    jsonb[], jsonb, roost.device_operation, roost.pushed_operation, timestamptz
) TO roost_api;

COMMENT ON FUNCTION roost.end_late_operation(
    jsonb[], jsonb, roost.device_operation, roost.pushed_operation, timestamptz
) IS
'Ends a list in which the time was over: p_before is done again, and of the operation after it,
p_sent, it is recorded that it takes too long.';

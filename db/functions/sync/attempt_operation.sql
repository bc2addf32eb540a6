CREATE OR REPLACE FUNCTION roost.attempt_operation(
    p_sent jsonb, p_operation roost.device_operation
)
RETURNS roost.pushed_operation
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_effect roost.operation_effect;
    v_answer roost.pushed_operation;
    v_began timestamptz := clock_timestamp();
BEGIN
    PERFORM roost.require_dependencies(p_operation);
    v_effect := roost.carry_out_operation(p_operation);
    v_answer.id := p_operation.id;
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

    PERFORM roost.record_operation(p_sent, p_operation, v_answer, v_effect.is_as_sent, v_began);

    RETURN v_answer;
END;
$$;

REVOKE ALL ON FUNCTION roost.attempt_operation(jsonb, roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.attempt_operation(jsonb, roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.attempt_operation(jsonb, roost.device_operation) IS
'Carries out an operation of the calling device, and records what became of it. Raises what keeps it
from being applied.';

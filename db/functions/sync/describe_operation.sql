-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_operation(p_operation roost.sync_operations)
RETURNS roost.sync_operation
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_operation.operation_id,
    p_operation.device_id,
    p_operation.kind,
    p_operation.target_id,
    p_operation.base_version,
    p_operation.policy,
    p_operation.args,
    p_operation.outcome,
    p_operation.code,
    p_operation.message,
    p_operation.details,
    p_operation.hint,
    p_operation.conflict_id,
    p_operation.result,
    p_operation.queued_at,
    p_operation.applied_at,
    p_operation.took_ms
)::roost.sync_operation;

REVOKE ALL ON FUNCTION roost.describe_operation(roost.sync_operations) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_operation(roost.sync_operations) TO roost_api;

COMMENT ON FUNCTION roost.describe_operation(roost.sync_operations) IS
'An operation that was taken, as clients get it.';

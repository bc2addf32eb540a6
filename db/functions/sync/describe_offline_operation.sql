-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_offline_operation(
    p_operation roost.offline_operations,
    p_whole boolean
)
RETURNS roost.offline_operation
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_operation.id,
    p_operation.device_id,
    p_operation.position,
    p_operation.kind,
    p_operation.target_id,
    p_operation.base_version,
    p_operation.policy,
    p_operation.depends_on,
    CASE WHEN p_whole THEN p_operation.args END,
    p_operation.status::roost.offline_status,
    p_operation.retry_count,
    p_operation.max_retries,
    p_operation.next_attempt_at,
    p_operation.code,
    p_operation.message,
    p_operation.details,
    p_operation.hint,
    p_operation.conflict_id,
    p_operation.result,
    p_operation.queued_at,
    p_operation.created_at,
    p_operation.completed_at
)::roost.offline_operation;

REVOKE ALL ON FUNCTION roost.describe_offline_operation(
    roost.offline_operations, boolean
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_offline_operation(
    roost.offline_operations, boolean
) TO roost_api;

COMMENT ON FUNCTION roost.describe_offline_operation(
    roost.offline_operations, boolean
) IS
'An operation of a queue as clients get it: with p_whole also its arguments, which are large.';

-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_conflict(p_conflict roost.sync_conflicts, p_whole boolean)
RETURNS roost.sync_conflict
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_conflict.id,
    p_conflict.device_id,
    p_conflict.operation_id,
    p_conflict.offline_operation_id,
    p_conflict.kind,
    p_conflict.policy,
    p_conflict.target_kind,
    p_conflict.target_id,
    CASE WHEN p_whole THEN p_conflict.base END,
    CASE WHEN p_whole THEN p_conflict.mine END,
    CASE WHEN p_whole THEN p_conflict.theirs END,
    CASE WHEN p_whole THEN p_conflict.hunks END,
    p_conflict.state,
    p_conflict.strategy,
    CASE WHEN p_whole THEN p_conflict.resolution END,
    p_conflict.resolved_by,
    p_conflict.created_at,
    p_conflict.resolved_at
)::roost.sync_conflict;

REVOKE ALL ON FUNCTION roost.describe_conflict(roost.sync_conflicts, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_conflict(roost.sync_conflicts, boolean) TO roost_api;

COMMENT ON FUNCTION roost.describe_conflict(roost.sync_conflicts, boolean) IS
'A conflict as clients get it: with p_whole also what collides, which is large.';

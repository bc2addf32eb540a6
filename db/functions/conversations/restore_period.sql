-- Bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.restore_period()
RETURNS interval
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN '30 days'::interval;

REVOKE ALL ON FUNCTION roost.restore_period() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.restore_period() TO roost_api;

COMMENT ON FUNCTION roost.restore_period() IS
'For how long a deleted conversation can be restored.';

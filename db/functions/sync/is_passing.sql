CREATE OR REPLACE FUNCTION roost.is_passing(p_code text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN p_code ~ '^(08|25|40|53|55|57|58)';

REVOKE ALL ON FUNCTION roost.is_passing(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.is_passing(text) TO roost_api;

COMMENT ON FUNCTION roost.is_passing(text) IS
'Whether an error, of this SQLSTATE, is nobody''s mistake, so that the same may succeed the next
time: connections, deadlocks, locks, resources, the system and whoever operates it.';

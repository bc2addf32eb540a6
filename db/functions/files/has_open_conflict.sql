-- Runs as the owner: others may have open conflicts about it, which the caller does not see.
CREATE OR REPLACE FUNCTION roost.has_open_conflict(p_file_id uuid)
RETURNS boolean
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM roost.sync_conflicts AS conflict
        WHERE conflict.target_id = p_file_id AND conflict.resolved_at IS NULL
    );
$$;

REVOKE ALL ON FUNCTION roost.has_open_conflict(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.has_open_conflict(uuid) TO roost_api;

COMMENT ON FUNCTION roost.has_open_conflict(uuid) IS
'Whether a conflict about a file is open. Whoever calls has looked at the caller''s right to it.';

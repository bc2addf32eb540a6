-- Runs as the owner: others may have open conflicts about it, which the caller does not see.
CREATE OR REPLACE FUNCTION roost.settle_file_status(p_file_id uuid, p_except_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE roost.file_sync_state AS file
    SET sync_status = 'synced'
    WHERE file.id = p_file_id
        AND file.sync_status = 'conflict'
        AND NOT EXISTS (
            SELECT FROM roost.sync_conflicts AS conflict
            WHERE conflict.target_id = p_file_id
                AND conflict.id <> p_except_id
                AND conflict.resolved_at IS NULL
        );
$$;

REVOKE ALL ON FUNCTION roost.settle_file_status(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.settle_file_status(uuid, uuid) TO roost_api;

COMMENT ON FUNCTION roost.settle_file_status(uuid, uuid) IS
'Writes that a file is in step again when no conflict about it is open but one that is just being
decided. To be called under roost.lock_workspace.';

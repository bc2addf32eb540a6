-- None changes once it is there, so each stays where it was found. Waits for nobody.
CREATE OR REPLACE FUNCTION roost.expire_sync_operations(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_kept CONSTANT interval := '30 days'::interval;
    v_operations bigint;
    v_conflicts bigint;
    v_enqueued bigint;
BEGIN
    DELETE FROM roost.sync_operations AS operation
    WHERE operation.ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM roost.sync_operations AS old
        WHERE old.applied_at < now() - c_kept
        ORDER BY old.applied_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_operations = ROW_COUNT;

    DELETE FROM roost.sync_conflicts AS conflict
    WHERE conflict.ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM roost.sync_conflicts AS old
        WHERE old.resolved_at < now() - c_kept
        ORDER BY old.resolved_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_conflicts = ROW_COUNT;

    DELETE FROM roost.offline_operations AS operation
    WHERE operation.ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM roost.offline_operations AS old
        WHERE old.completed_at < now() - c_kept
        ORDER BY old.completed_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_enqueued = ROW_COUNT;

    RETURN CASE WHEN p_limit IN (v_operations, v_conflicts, v_enqueued) THEN p_limit ELSE 0 END;
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_sync_operations(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_sync_operations(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_sync_operations(integer) IS
'Forgets operations that were taken, or completed or discarded in the queue, and conflicts that were
decided, 30 days ago, oldest first, up to p_limit of each; how far each device has come stays.
Answers 0 when nothing more is to be done now, else more: call it again, in a transaction of its
own. Two servers may do so at once.';

CREATE OR REPLACE FUNCTION roost.forget_operations_on(p_target_ids uuid[])
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM roost.sync_conflicts AS conflict
    WHERE conflict.target_id = ANY (p_target_ids);

    UPDATE roost.sync_operations AS operation
    SET args = NULL
    WHERE operation.target_id = ANY (p_target_ids) AND operation.args IS NOT NULL;

    -- One that is yet to be done fails without them.
    UPDATE roost.offline_operations AS operation
    SET args = NULL,
        base = NULL
    WHERE operation.target_id = ANY (p_target_ids) AND operation.args IS NOT NULL;
$$;

REVOKE ALL ON FUNCTION roost.forget_operations_on(uuid[]) FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_operations_on(uuid[]) IS
'Deletes the conflicts about some things, and what is kept of the operations on them.';

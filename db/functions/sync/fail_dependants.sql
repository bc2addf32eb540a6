-- Runs as the owner: row-level security would keep the index from being used.
CREATE OR REPLACE FUNCTION roost.fail_dependants(p_id uuid)
RETURNS uuid[]
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH failed AS (
        UPDATE roost.offline_operations AS waiting
        SET status = 'failed',
            next_attempt_at = NULL,
            code = 'RO306',
            message = 'It depends on an operation that was discarded.',
            details = format('Operation: %s', p_id),
            hint = 'Discard it too, or enqueue it under a new id without that one.'
        WHERE waiting.depends_on @> ARRAY[p_id]
            AND waiting.depends_on <> '{}'
            AND waiting.completed_at IS NULL
            AND waiting.user_id = roost.current_user_id()
            AND waiting.status = 'pending'
        RETURNING waiting.id, waiting.position
    )

    SELECT coalesce(array_agg(failed.id ORDER BY failed.position), '{}'::uuid[])
    FROM failed;
$$;

REVOKE ALL ON FUNCTION roost.fail_dependants(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.fail_dependants(uuid) TO roost_api;

COMMENT ON FUNCTION roost.fail_dependants(uuid) IS
'Fails those pending operations of the caller''s that depend on this one, which is discarded, with
RO306. Answers their ids, in order.';

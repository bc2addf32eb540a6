-- Runs as the owner: row-level security would keep the index from being used. Under the lock on the
-- device's row of sync_devices, so nobody enqueues one that waits for p_id meanwhile.
CREATE OR REPLACE FUNCTION roost.release_dependants(p_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE roost.offline_operations AS waiting
    SET next_attempt_at = now()
    WHERE waiting.depends_on @> ARRAY[p_id]
        AND waiting.depends_on <> '{}'
        AND waiting.completed_at IS NULL
        AND waiting.user_id = roost.current_user_id()
        AND waiting.status = 'pending'
        -- One by one: of a person's operations these are few.
        AND NOT EXISTS (
            SELECT FROM unnest(waiting.depends_on) AS named (id)
            WHERE (
                SELECT needed.status
                FROM roost.offline_operations AS needed
                WHERE needed.user_id = waiting.user_id AND needed.id = named.id
            ) <> 'completed'
        );
$$;

REVOKE ALL ON FUNCTION roost.release_dependants(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.release_dependants(uuid) TO roost_api;

COMMENT ON FUNCTION roost.release_dependants(uuid) IS
'Has those operations of the calling device become due that have waited for this one, which is
completed, and wait for nothing else.';

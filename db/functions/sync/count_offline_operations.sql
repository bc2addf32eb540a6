CREATE OR REPLACE FUNCTION roost.count_offline_operations(
    OUT waiting bigint,
    OUT failed bigint,
    OUT oldest_due_seconds double precision
)
RETURNS record
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- However many there are when a plan is made: another time there are few among many.
SET enable_seqscan = off
AS $$
DECLARE
    -- Asked for again and again: how many more there are is nothing to wait for.
    c_most CONSTANT bigint := 100000;
BEGIN
    waiting := (
        SELECT count(*)
        FROM (
            SELECT FROM roost.offline_operations AS operation
            WHERE operation.completed_at IS NULL AND operation.status = 'pending'
            LIMIT c_most
        ) AS listed
    );
    failed := (
        SELECT count(*)
        FROM (
            SELECT FROM roost.offline_operations AS operation
            WHERE operation.completed_at IS NULL AND operation.status = 'failed'
            LIMIT c_most
        ) AS listed
    );
    oldest_due_seconds := (
        SELECT greatest(
            0, extract(EPOCH FROM clock_timestamp() - min(operation.next_attempt_at))
        )::double precision
        FROM roost.offline_operations AS operation
        WHERE operation.completed_at IS NULL AND operation.status = 'pending'
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.count_offline_operations() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.count_offline_operations() TO roost_gateway;

COMMENT ON FUNCTION roost.count_offline_operations() IS
'How many operations of all devices wait or have failed, up to 100,000 each, and for how long the
oldest that is due has been; 0 where none is.';

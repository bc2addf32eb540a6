CREATE OR REPLACE FUNCTION roost.expire_chunk_leases(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    v_count bigint;
BEGIN
    -- None that was taken again meanwhile; a row that moves has another ctid.
    DELETE FROM roost.chunk_leases AS lease
    WHERE lease.ctid = ANY (ARRAY(
        SELECT due.ctid
        FROM roost.chunk_leases AS due
        WHERE due.expires_at <= now()
        ORDER BY due.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_count = ROW_COUNT;

    RETURN CASE v_count WHEN p_limit THEN p_limit ELSE 0 END;
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_chunk_leases(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_chunk_leases(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_chunk_leases(integer) IS
'Ends leases of chunks that are past their time, p_limit at most, the oldest first. Answers 0 when
nothing more is to be done now, else more: call it again, in a transaction of its own. Two
servers may do so at once.';

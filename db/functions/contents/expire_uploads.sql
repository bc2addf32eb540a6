CREATE OR REPLACE FUNCTION roost.expire_uploads(p_limit integer)
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
    DELETE FROM roost.uploads AS upload
    WHERE upload.id = ANY (ARRAY(
        SELECT due.id
        FROM roost.uploads AS due
        WHERE due.expires_at <= now()
        ORDER BY due.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_count = ROW_COUNT;

    RETURN CASE v_count WHEN p_limit THEN p_limit ELSE 0 END;
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_uploads(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_uploads(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_uploads(integer) IS
'Deletes uploads that are past their time, p_limit at most, the oldest first; what they reserved
is free. Answers 0 when nothing more is to be done now, else more: call it again, in a
transaction of its own. Two servers may do so at once.';

CREATE OR REPLACE FUNCTION roost.expire_content_leases(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    v_content_id uuid;
    v_count bigint := 0;
BEGIN
    FOR v_content_id IN
        DELETE FROM roost.content_leases AS lease
        WHERE lease.content_id = ANY (ARRAY(
            SELECT due.content_id
            FROM roost.content_leases AS due
            WHERE due.expires_at <= now()
            ORDER BY due.expires_at
            LIMIT p_limit
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING lease.content_id
    LOOP
        v_count := v_count + 1;

        BEGIN
            DELETE FROM roost.file_contents AS content
            WHERE content.id = v_content_id;
        EXCEPTION
            -- A file has it.
            WHEN foreign_key_violation THEN
                NULL;
        END;
    END LOOP;

    RETURN CASE v_count WHEN p_limit THEN p_limit ELSE 0 END;
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_content_leases(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_content_leases(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_content_leases(integer) IS
'Deletes contents that were made of chunks and that no file has taken within 24 hours, p_limit at
most, the oldest first. Answers 0 when nothing more is to be done now, else more: call it again,
in a transaction of its own. Two servers may do so at once.';

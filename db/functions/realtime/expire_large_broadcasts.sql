CREATE OR REPLACE FUNCTION realtime.expire_large_broadcasts(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The servers fetch it at once; after this long none of them still will.
    c_kept CONSTANT interval := '1 minute'::interval;
BEGIN
    DELETE FROM realtime.large_broadcasts AS large
    WHERE large.id = ANY (ARRAY(
        SELECT expired.id
        FROM realtime.large_broadcasts AS expired
        WHERE expired.created_at <= now() - c_kept
        ORDER BY expired.created_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));

    RETURN (
        SELECT count(*)
        FROM (
            SELECT
            FROM realtime.large_broadcasts AS expired
            WHERE expired.created_at <= now() - c_kept
            LIMIT p_limit
        ) AS left_over
        -- What others hold at this moment is not for now.
        WHERE FOUND
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.expire_large_broadcasts(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.expire_large_broadcasts(integer) TO roost_gateway;

COMMENT ON FUNCTION realtime.expire_large_broadcasts(integer) IS
'Removes large ephemeral events that were sent more than a minute ago, p_limit at most, and answers
0 when none is left, else how many there are for the next call, up to p_limit.';

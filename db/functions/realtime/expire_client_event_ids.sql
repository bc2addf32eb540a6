CREATE OR REPLACE FUNCTION realtime.expire_client_event_ids(
    p_limit integer,
    p_retention interval DEFAULT '7 days'
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM realtime.client_event_ids AS client_event
    WHERE client_event.ctid = ANY (ARRAY(
        SELECT expired.ctid
        FROM realtime.client_event_ids AS expired
        WHERE expired.created_at <= now() - p_retention
        ORDER BY expired.created_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));

    RETURN (
        SELECT count(*)
        FROM (
            SELECT
            FROM realtime.client_event_ids AS expired
            WHERE expired.created_at <= now() - p_retention
            LIMIT p_limit
        ) AS left_over
        -- What others hold at this moment is not for now.
        WHERE FOUND
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.expire_client_event_ids(integer, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.expire_client_event_ids(integer, interval) TO roost_gateway;

COMMENT ON FUNCTION realtime.expire_client_event_ids(integer, interval) IS
'Removes ids of events that are past retention, p_limit at most, and answers 0 when none is left,
else how many there are for the next call, up to p_limit.';

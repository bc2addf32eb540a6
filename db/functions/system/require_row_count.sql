-- Wraps the answer of a call for which the client set a bound on the number of rows. Raised inside
-- the call's transaction, so that a refused answer has changed nothing. The form of the error is
-- PostgREST's: SQLSTATE PGRST with the body in MESSAGE and the status in DETAIL.
CREATE OR REPLACE FUNCTION roost.require_row_count(p_rows bigint, p_single boolean, p_most bigint)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_single AND p_rows <> 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PGRST',
            MESSAGE = json_build_object(
                'code', 'PGRST116',
                'message', 'Cannot coerce the result to a single JSON object',
                'details', format('The result contains %s rows', p_rows),
                'hint', 'Ask for application/json to get a list.'
            ),
            DETAIL = '{"status": 406, "headers": {}}';
    ELSIF p_rows > p_most THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PGRST',
            MESSAGE = json_build_object(
                'code', 'PGRST124',
                'message', 'Query result exceeds max-affected preference constraint',
                'details', format('The query affects %s rows', p_rows),
                'hint', 'Send a larger max-affected, or call for less.'
            ),
            DETAIL = '{"status": 400, "headers": {}}';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_row_count(bigint, boolean, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_row_count(bigint, boolean, bigint)
TO roost_anon, roost_user, roost_service;

COMMENT ON FUNCTION roost.require_row_count(bigint, boolean, bigint) IS
'Refuses an answer that is not exactly one row (p_single) or has more than p_most rows.';

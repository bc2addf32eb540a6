-- Whoever cancels a call, as the server does when nobody waits for its answer any more, does so
-- before that. The clock of the timeout may have begun a little before the statement's own.
CREATE OR REPLACE FUNCTION roost.is_out_of_time(p_began timestamptz DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_timeout interval := current_setting('statement_timeout')::interval;
BEGIN
    RETURN v_timeout > interval '0'
        AND clock_timestamp() >= statement_timestamp() + v_timeout * 0.99
        AND coalesce(clock_timestamp() >= p_began + v_timeout * 0.5, true);
END;
$$;

REVOKE ALL ON FUNCTION roost.is_out_of_time(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.is_out_of_time(timestamptz) TO roost_api;

COMMENT ON FUNCTION roost.is_out_of_time(timestamptz) IS
'Whether a statement that was cancelled has run for as long as it may; with p_began, also whether
half of that is behind p_began.';

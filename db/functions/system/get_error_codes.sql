CREATE OR REPLACE FUNCTION roost.get_error_codes()
RETURNS TABLE (code text, name text, http_status smallint)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT error_code.code, error_code.name, error_code.http_status
    FROM roost.error_codes AS error_code
    ORDER BY error_code.code;
$$;

REVOKE ALL ON FUNCTION roost.get_error_codes() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_error_codes() TO roost_gateway;

COMMENT ON FUNCTION roost.get_error_codes() IS
'The domain errors with their HTTP statuses, for the server to read when it starts.';

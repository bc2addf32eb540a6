CREATE OR REPLACE FUNCTION roost.require_page_size(p_page_size integer)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_page_size IS NULL OR p_page_size NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The page size is out of range.',
            DETAIL = format('page_size: %s', coalesce(p_page_size::text, 'null')),
            HINT = 'Send a page_size from 1 to 200, or leave it out.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_page_size(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_page_size(integer) TO roost_api;

COMMENT ON FUNCTION roost.require_page_size(integer) IS
'Raises RO302 unless a page has 1 to 200 rows, which bounds what one call reads.';

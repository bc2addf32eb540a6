CREATE OR REPLACE FUNCTION roost.require_query(p_query text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF char_length(p_query) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The query is too long.',
            DETAIL = format('Characters: %s', char_length(p_query)),
            HINT = 'Send at most 1000 characters.';
    END IF;

    RETURN p_query;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_query(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_query(text) TO roost_api;

COMMENT ON FUNCTION roost.require_query(text) IS
'The query itself. Raises RO302 when it has more than 1000 characters.';

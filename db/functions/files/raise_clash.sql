CREATE OR REPLACE FUNCTION roost.raise_clash(p_path text, p_clash text)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RO310',
        MESSAGE = 'There is a name that differs in capitals alone.',
        DETAIL = format('path: %s; there: %s', left(p_path, 200), left(p_clash, 200)),
        HINT = 'Use the name that is there, or another: some systems take both for the same.';
END;
$$;

REVOKE ALL ON FUNCTION roost.raise_clash(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.raise_clash(text, text) TO roost_api;

COMMENT ON FUNCTION roost.raise_clash(text, text) IS
'Raises RO310.';

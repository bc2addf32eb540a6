CREATE OR REPLACE FUNCTION roost.split_identifiers(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_text !~ '[a-z][A-Z]|[A-Z]{2}[a-z]' THEN
        RETURN NULL;
    END IF;

    RETURN (
        SELECT string_agg(
            regexp_replace(
                regexp_replace(identifier.found[1], '([a-z0-9])([A-Z])', '\1 \2', 'g'),
                '([A-Z]+)([A-Z][a-z])',
                '\1 \2',
                'g'
            ),
            ' '
        )
        FROM regexp_matches(
            p_text,
            '[A-Za-z0-9]*(?:[a-z][A-Z]|[A-Z]{2}[a-z])[A-Za-z0-9]*',
            'g'
        ) AS identifier (found)
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.split_identifiers(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.split_identifiers(text) TO roost_api;

COMMENT ON FUNCTION roost.split_identifiers(text) IS
'The parts of each identifier such as camelCase in a text; NULL where there is none.';

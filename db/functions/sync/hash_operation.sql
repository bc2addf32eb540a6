-- In jsonb the order of keys and spaces are gone. What is too large to be written out is refused
-- anyway, and is known again by the hash that an index would use.
CREATE OR REPLACE FUNCTION roost.hash_operation(p_sent jsonb)
RETURNS bytea
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(CASE
        WHEN roost.json_fits(p_sent, 524288) THEN convert_to(concat(p_sent), 'UTF8')
        ELSE int8send(jsonb_hash_extended(p_sent, 0)) || int8send(jsonb_hash_extended(p_sent, 1))
    END);
$$;

REVOKE ALL ON FUNCTION roost.hash_operation(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.hash_operation(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.hash_operation(jsonb) IS
'SHA-256 of an operation as it was sent, to know the same again.';

CREATE OR REPLACE FUNCTION roost.require_embedding(p_embedding real[], p_model text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_embedding IS NULL AND p_model IS NULL THEN
        RETURN;
    END IF;

    PERFORM roost.require_vectors();

    IF p_model IS NULL
        OR array_ndims(p_embedding) IS DISTINCT FROM 1
        OR cardinality(p_embedding) > 4096
        OR array_position(p_embedding, NULL) IS NOT NULL
        OR p_embedding && '{NaN, Infinity, -Infinity}'
        OR 0 = ALL (p_embedding)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This can''t be searched by.',
            DETAIL = format(
                'model: %s; numbers in embedding: %s',
                coalesce(left(p_model, 200), 'null'),
                coalesce(cardinality(p_embedding), 0)
            ),
            HINT = 'Send the embedding as a list of 1 to 4096 numbers, and the model that made it.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_embedding(real[], text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_embedding(real[], text) TO roost_api;

COMMENT ON FUNCTION roost.require_embedding(real[], text) IS
'Raises RO501 where the database can''t search by meaning, RO302 unless both or neither are there
and the embedding has a direction.';

-- Two that store the same chunks take them in the same order. One that the collector takes away
-- meanwhile is stored again.
CREATE OR REPLACE FUNCTION roost.keep_chunks(p_hashes bytea[], p_sizes integer[], p_bytes bytea)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_wanted bytea[] := ARRAY(
        SELECT DISTINCT listed.hash FROM unnest(p_hashes) AS listed (hash) ORDER BY listed.hash
    );
BEGIN
    LOOP
        INSERT INTO roost.file_chunks (hash, content)
        SELECT DISTINCT ON (piece.hash)
            piece.hash,
            substring(
                p_bytes FROM (piece.until_byte - piece.size + 1)::integer FOR piece.size
            )
        FROM (
            SELECT
                listed.hash,
                listed.size,
                sum(listed.size) OVER (ORDER BY listed.place) AS until_byte
            FROM unnest(p_hashes, p_sizes) WITH ORDINALITY AS listed (hash, size, place)
        ) AS piece
        WHERE NOT EXISTS (
            SELECT FROM roost.file_chunks AS known WHERE known.hash = piece.hash
        )
        ORDER BY piece.hash
        ON CONFLICT ON CONSTRAINT file_chunks_pkey DO NOTHING;

        EXIT WHEN roost.hold_chunks(v_wanted) = cardinality(v_wanted);
    END LOOP;
END;
$$;

REVOKE ALL ON FUNCTION roost.keep_chunks(bytea[], integer[], bytea) FROM PUBLIC;

COMMENT ON FUNCTION roost.keep_chunks(bytea[], integer[], bytea) IS
'Stores chunks that are not there yet, cut from p_bytes one behind another, and holds all of them
to the end of the transaction: whoever calls then refers to them. The hashes are the caller''s
word.';

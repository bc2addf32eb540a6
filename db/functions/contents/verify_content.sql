CREATE OR REPLACE FUNCTION roost.verify_content(
    p_content_id uuid,
    p_from_byte bigint DEFAULT 0,
    p_to_byte bigint DEFAULT NULL
)
RETURNS TABLE (from_byte bigint, size integer, hash text, problem text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
-- What is missing between two chunks, and at the end, is named as a gap. The chunk before the first
-- one is not read, but says where that is to begin.
SELECT found.from_byte, found.size, encode(found.chunk_hash, 'hex'), found.problem
FROM (
    SELECT
        piece.from_byte,
        piece.size,
        piece.chunk_hash,
        CASE
            WHEN piece.from_byte < p_from_byte THEN NULL
            WHEN sha256(chunk.content) <> piece.chunk_hash THEN 'damaged'
            WHEN octet_length(chunk.content) <> piece.size THEN 'size'
            WHEN piece.from_byte <> coalesce(
                lag(piece.from_byte + piece.size) OVER (ORDER BY piece.from_byte), 0
            ) THEN 'gap'
        END AS problem
    FROM roost.content_chunks AS piece
    JOIN roost.file_chunks AS chunk ON chunk.hash = piece.chunk_hash
    WHERE piece.content_id = p_content_id
        AND piece.from_byte >= coalesce(
            (
                SELECT max(before.from_byte)
                FROM roost.content_chunks AS before
                WHERE before.content_id = p_content_id AND before.from_byte < p_from_byte
            ),
            0
        )
        AND (p_to_byte IS NULL OR piece.from_byte < p_to_byte)
    UNION ALL
    SELECT content.size, 0, content.hash, 'end'
    FROM roost.file_contents AS content
    WHERE content.id = p_content_id
        AND (p_to_byte IS NULL OR p_to_byte >= content.size)
        AND content.size <> (
            SELECT coalesce(max(piece.from_byte + piece.size), 0)
            FROM roost.content_chunks AS piece
            WHERE piece.content_id = p_content_id
        )
) AS found
WHERE found.problem IS NOT NULL
ORDER BY found.from_byte;
$$;

REVOKE ALL ON FUNCTION roost.verify_content(uuid, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.verify_content(uuid, bigint, bigint) TO roost_api;

COMMENT ON FUNCTION roost.verify_content(uuid, bigint, bigint) IS
'Reads a content again and names what is wrong: the chunks whose bytes are not those of their hash
(damaged) or have another size, and where bytes are missing (gap, end). Of a part it reads the
chunks that begin from p_from_byte to before p_to_byte. No row when all is well. Whoever calls has
looked at the caller''s right to the workspace.';

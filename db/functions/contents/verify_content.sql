CREATE OR REPLACE FUNCTION roost.verify_content(p_content_id uuid)
RETURNS TABLE (from_byte bigint, size integer, hash text, problem text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
-- What is missing between two chunks, and at the end, is named as a gap.
SELECT found.from_byte, found.size, encode(found.chunk_hash, 'hex'), found.problem
FROM (
    SELECT
        piece.from_byte,
        piece.size,
        piece.chunk_hash,
        CASE
            WHEN sha256(chunk.content) <> piece.chunk_hash THEN 'damaged'
            WHEN octet_length(chunk.content) <> piece.size THEN 'size'
            WHEN piece.from_byte <> coalesce(
                lag(piece.from_byte + piece.size) OVER (ORDER BY piece.from_byte), 0
            ) THEN 'gap'
        END AS problem
    FROM roost.content_chunks AS piece
    JOIN roost.file_chunks AS chunk ON chunk.hash = piece.chunk_hash
    WHERE piece.content_id = p_content_id
    UNION ALL
    SELECT content.size, 0, content.hash, 'end'
    FROM roost.file_contents AS content
    WHERE content.id = p_content_id
        AND content.size <> (
            SELECT coalesce(max(piece.from_byte + piece.size), 0)
            FROM roost.content_chunks AS piece
            WHERE piece.content_id = p_content_id
        )
) AS found
WHERE found.problem IS NOT NULL
ORDER BY found.from_byte;
$$;

REVOKE ALL ON FUNCTION roost.verify_content(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.verify_content(uuid) TO roost_api;

COMMENT ON FUNCTION roost.verify_content(uuid) IS
'Reads a content again and names what is wrong: the chunks whose bytes are not those of their hash
(damaged) or have another size, and where bytes are missing (gap, end). No row when all is well.
Whoever calls has looked at the caller''s right to the workspace.';

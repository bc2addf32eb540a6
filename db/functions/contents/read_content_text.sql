CREATE OR REPLACE FUNCTION roost.read_content_text(p_content_id uuid, p_most_bytes integer)
RETURNS text
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_bytes bytea;
BEGIN
    SELECT coalesce(string_agg(chunk.content, '' ORDER BY piece.from_byte), '')
    INTO v_bytes
    FROM roost.file_contents AS content
    LEFT JOIN roost.content_chunks AS piece ON piece.content_id = content.id
    LEFT JOIN roost.file_chunks AS chunk ON chunk.hash = piece.chunk_hash
    WHERE content.id = p_content_id AND content.size <= p_most_bytes
    GROUP BY content.id;

    RETURN convert_from(v_bytes, 'UTF8');
EXCEPTION
    WHEN character_not_in_repertoire OR untranslatable_character THEN
        RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_content_text(uuid, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_content_text(uuid, integer) TO roost_api;

COMMENT ON FUNCTION roost.read_content_text(uuid, integer) IS
'A content as text. NULL where it is larger than p_most_bytes or not UTF-8, has a zero byte, or is
not there. Whoever calls has looked at the caller''s right to the workspace.';

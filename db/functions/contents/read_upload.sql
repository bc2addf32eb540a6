CREATE OR REPLACE FUNCTION roost.read_upload(p_upload_id uuid, p_from_byte bigint, p_to_byte bigint)
RETURNS bytea
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.find_upload(p_upload_id);

    RETURN (
        SELECT string_agg(chunk.content, '' ORDER BY piece.from_byte)
        FROM roost.upload_chunks AS piece
        JOIN roost.file_chunks AS chunk ON chunk.hash = piece.chunk_hash
        WHERE piece.upload_id = p_upload_id
            AND piece.from_byte >= p_from_byte
            AND piece.from_byte < p_to_byte
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.read_upload(uuid, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_upload(uuid, bigint, bigint) TO roost_user;

COMMENT ON FUNCTION roost.read_upload(uuid, bigint, bigint) IS
'The chunks of an upload of the caller''s that begin from p_from_byte to before p_to_byte, without
the tail; NULL when there is none. Errors: RO101, RO201, RO202.';

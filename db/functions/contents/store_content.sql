CREATE OR REPLACE FUNCTION roost.store_content(p_workspace_id uuid, p_bytes bytea)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_piece CONSTANT integer := 262144;
    v_size integer := octet_length(p_bytes);
    v_hashes bytea[];
    v_sizes integer[];
    v_content record;
BEGIN
    SELECT
        coalesce(array_agg(sha256(piece.bytes) ORDER BY piece.from_byte), '{}'),
        coalesce(array_agg(octet_length(piece.bytes) ORDER BY piece.from_byte), '{}')
    INTO v_hashes, v_sizes
    FROM (
        SELECT cut.from_byte, substring(p_bytes FROM cut.from_byte + 1 FOR c_piece) AS bytes
        FROM generate_series(0, v_size - 1, c_piece) AS cut (from_byte)
    ) AS piece;

    PERFORM roost.keep_chunks(v_hashes, v_sizes, p_bytes);

    SELECT inserted.content_id, inserted.is_new
    INTO v_content
    FROM roost.workspaces AS workspace
    CROSS JOIN roost.insert_content(
        workspace.id, workspace.user_id, sha256(p_bytes), v_size
    ) AS inserted
    WHERE workspace.id = p_workspace_id;

    IF v_content.is_new THEN
        INSERT INTO roost.content_chunks (content_id, from_byte, size, workspace_id, chunk_hash)
        SELECT
            v_content.content_id,
            (listed.place - 1) * c_piece,
            listed.size,
            p_workspace_id,
            listed.hash
        FROM unnest(v_hashes, v_sizes) WITH ORDINALITY AS listed (hash, size, place);
    END IF;

    RETURN v_content.content_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.store_content(uuid, bytea) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.store_content(uuid, bytea) TO roost_api;

COMMENT ON FUNCTION roost.store_content(uuid, bytea) IS
'Stores bytes, such as a merged text, as a content of a workspace, and answers its id. Errors:
RO701. Whoever calls has looked at the caller''s right to the workspace.';

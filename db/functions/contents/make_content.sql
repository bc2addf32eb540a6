CREATE OR REPLACE FUNCTION roost.make_content(
    p_workspace_id uuid,
    p_hash bytea,
    p_size bigint,
    p_hashes bytea[],
    p_sizes integer[]
)
RETURNS uuid
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_owner_id uuid := roost.require_writable(p_workspace_id);
    v_content record;
BEGIN
    PERFORM roost.require_chunks(p_workspace_id, p_hashes);

    SELECT inserted.content_id, inserted.is_new
    INTO v_content
    FROM roost.insert_content(p_workspace_id, v_owner_id, p_hash, p_size) AS inserted;

    IF v_content.is_new THEN
        INSERT INTO roost.content_chunks (content_id, from_byte, size, workspace_id, chunk_hash)
        SELECT
            v_content.content_id,
            sum(listed.size) OVER (ORDER BY listed.place) - listed.size,
            listed.size,
            p_workspace_id,
            listed.hash
        FROM unnest(p_hashes, p_sizes) WITH ORDINALITY AS listed (hash, size, place);
    END IF;

    PERFORM roost.lease_content(v_content.content_id);

    RETURN v_content.content_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.make_content(uuid, bytea, bigint, bytea[], integer[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.make_content(uuid, bytea, bigint, bytea[], integer[]) TO roost_user;

COMMENT ON FUNCTION roost.make_content(uuid, bytea, bigint, bytea[], integer[]) IS
'Makes a content of chunks that the workspace has, and answers its id. That they make p_hash is
the caller''s word. Errors: RO101, RO201, RO202, RO701, RO705.';

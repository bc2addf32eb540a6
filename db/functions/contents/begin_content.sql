CREATE OR REPLACE FUNCTION roost.begin_content(
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
    v_content_id uuid;
    v_problem text;
BEGIN
    PERFORM roost.require_file_size(v_owner_id, p_size);

    SELECT content.id
    INTO v_content_id
    FROM roost.file_contents AS content
    WHERE content.workspace_id = p_workspace_id AND content.hash = p_hash
    FOR KEY SHARE;

    IF FOUND THEN
        PERFORM roost.lease_content(v_content_id);

        RETURN v_content_id;
    END IF;

    PERFORM roost.require_chunks(p_workspace_id, p_hashes);

    SELECT format('Chunk: %s', encode(listed.hash, 'hex'))
    INTO v_problem
    FROM unnest(p_hashes, p_sizes) AS listed (hash, size)
    JOIN roost.file_chunks AS chunk ON chunk.hash = listed.hash
    WHERE octet_length(chunk.content) IS DISTINCT FROM listed.size
    LIMIT 1;

    IF v_problem IS NOT NULL OR p_size IS DISTINCT FROM (
        SELECT coalesce(sum(listed.size), 0) FROM unnest(p_sizes) AS listed (size)
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO706',
            MESSAGE = 'The sizes are not those of the chunks.',
            DETAIL = coalesce(v_problem, format('Size: %s', p_size)),
            HINT = 'Send each chunk''s size, and their sum as the size.';
    END IF;

    -- They stay while the server reads them.
    PERFORM roost.lease_chunks(p_workspace_id, p_hashes);

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_content(uuid, bytea, bigint, bytea[], integer[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_content(uuid, bytea, bigint, bytea[], integer[])
TO roost_user;

COMMENT ON FUNCTION roost.begin_content(uuid, bytea, bigint, bytea[], integer[]) IS
'Whether a content can be made of chunks that the workspace has: its id where it is there already,
else NULL, and the chunks are kept. Errors: RO101, RO201, RO202, RO702, RO705 (a chunk is not
there), RO706 (other sizes).';

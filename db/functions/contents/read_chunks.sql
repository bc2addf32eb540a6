CREATE OR REPLACE FUNCTION roost.read_chunks(p_workspace_id uuid, p_hashes bytea[])
RETURNS bytea
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_writable(p_workspace_id);

    RETURN (
        SELECT string_agg(chunk.content, '' ORDER BY listed.place)
        FROM unnest(p_hashes) WITH ORDINALITY AS listed (hash, place)
        JOIN roost.chunk_leases AS lease
            ON lease.chunk_hash = listed.hash AND lease.workspace_id = p_workspace_id
        JOIN roost.file_chunks AS chunk ON chunk.hash = listed.hash
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.read_chunks(uuid, bytea[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_chunks(uuid, bytea[]) TO roost_user;

COMMENT ON FUNCTION roost.read_chunks(uuid, bytea[]) IS
'Chunks that are kept for a workspace, one behind another. Errors: RO101, RO201, RO202.';

CREATE OR REPLACE FUNCTION roost.own_chunks(p_workspace_id uuid, p_hashes bytea[])
RETURNS bytea[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Who has them now may lose them at any time; what is held stays.
    PERFORM roost.hold_chunks(p_hashes);

    RETURN ARRAY(
        SELECT chunk.hash
        FROM roost.file_chunks AS chunk
        WHERE chunk.hash = ANY (p_hashes)
            AND (
                EXISTS (
                    SELECT FROM roost.content_chunks AS piece
                    WHERE piece.chunk_hash = chunk.hash AND piece.workspace_id = p_workspace_id
                )
                OR EXISTS (
                    SELECT FROM roost.chunk_leases AS lease
                    WHERE lease.chunk_hash = chunk.hash AND lease.workspace_id = p_workspace_id
                )
            )
        ORDER BY chunk.hash
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.own_chunks(uuid, bytea[]) FROM PUBLIC;

COMMENT ON FUNCTION roost.own_chunks(uuid, bytea[]) IS
'Which of these chunks a workspace has, by a content or a lease. All of them are held to the end
of the transaction.';

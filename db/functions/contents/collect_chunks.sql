-- Waits for nobody: a chunk that somebody holds is about to be referred to. Who comes behind the
-- lock waits, and stores the chunk again if it has gone.
CREATE OR REPLACE FUNCTION roost.collect_chunks(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    v_hashes bytea[];
    v_held bytea[];
BEGIN
    v_hashes := ARRAY(
        SELECT unused.hash
        FROM roost.unused_chunks AS unused
        ORDER BY unused.hash
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    );
    v_held := ARRAY(
        SELECT chunk.hash
        FROM roost.file_chunks AS chunk
        WHERE chunk.hash = ANY (v_hashes)
        FOR UPDATE SKIP LOCKED
    );

    -- Behind the lock, so that it sees whoever held a chunk before and refers to it now.
    DELETE FROM roost.file_chunks AS chunk
    WHERE chunk.hash = ANY (v_held)
        AND NOT EXISTS (
            SELECT FROM roost.content_chunks AS piece WHERE piece.chunk_hash = chunk.hash
        )
        AND NOT EXISTS (
            SELECT FROM roost.upload_chunks AS piece WHERE piece.chunk_hash = chunk.hash
        )
        AND NOT EXISTS (
            SELECT FROM roost.chunk_leases AS lease WHERE lease.chunk_hash = chunk.hash
        );

    -- Those that somebody holds are looked at again the next time.
    DELETE FROM roost.unused_chunks AS unused
    WHERE unused.hash = ANY (v_hashes)
        AND (
            unused.hash = ANY (v_held)
            OR NOT EXISTS (
                SELECT FROM roost.file_chunks AS chunk WHERE chunk.hash = unused.hash
            )
        );

    RETURN CASE
        WHEN cardinality(v_hashes) = p_limit AND cardinality(v_held) > 0 THEN p_limit
        ELSE 0
    END;
END;
$$;

REVOKE ALL ON FUNCTION roost.collect_chunks(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.collect_chunks(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.collect_chunks(integer) IS
'Deletes chunks that nothing refers to any more, looking at p_limit of those that lost a
reference. Answers 0 when nothing more is to be done now, else more: call it again, in a
transaction of its own. Two servers may do so at once.';

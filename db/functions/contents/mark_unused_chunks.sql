-- DO UPDATE waits for the collector, which may just be about to forget the chunk: it still sees the
-- reference that goes here. In one order, for two that lose the same chunks.
CREATE OR REPLACE FUNCTION roost.mark_unused_chunks()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO roost.unused_chunks AS unused (hash)
    SELECT DISTINCT referrer.chunk_hash
    FROM gone AS referrer
    ORDER BY referrer.chunk_hash
    ON CONFLICT ON CONSTRAINT unused_chunks_pkey DO UPDATE SET since = excluded.since;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.mark_unused_chunks() FROM PUBLIC;

COMMENT ON FUNCTION roost.mark_unused_chunks() IS
'Trigger: chunks that something referred to which is gone are looked at by the collector.';

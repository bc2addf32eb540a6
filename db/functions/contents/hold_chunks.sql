-- Waits for the collector, which may have locked them and looks for references: who comes first is
-- seen by the other.
CREATE OR REPLACE FUNCTION roost.hold_chunks(p_hashes bytea[])
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count integer;
BEGIN
    PERFORM FROM roost.file_chunks AS chunk
    WHERE chunk.hash = ANY (p_hashes)
    ORDER BY chunk.hash
    FOR KEY SHARE;
    GET DIAGNOSTICS v_count = ROW_COUNT;

    RETURN v_count;
END;
$$;

REVOKE ALL ON FUNCTION roost.hold_chunks(bytea[]) FROM PUBLIC;

COMMENT ON FUNCTION roost.hold_chunks(bytea[]) IS
'Keeps chunks from being collected to the end of the transaction, and answers how many of them
there are.';

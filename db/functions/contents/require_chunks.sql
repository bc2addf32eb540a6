CREATE OR REPLACE FUNCTION roost.require_chunks(p_workspace_id uuid, p_hashes bytea[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_own bytea[] := roost.own_chunks(p_workspace_id, p_hashes);
    v_missing bytea;
BEGIN
    SELECT listed.hash
    INTO v_missing
    FROM unnest(p_hashes) AS listed (hash)
    WHERE NOT EXISTS (SELECT FROM unnest(v_own) AS own (hash) WHERE own.hash = listed.hash)
    LIMIT 1;

    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO705',
            MESSAGE = 'A chunk is not in the workspace.',
            DETAIL = format('Chunk: %s', encode(v_missing, 'hex')),
            HINT = 'Ask missing_chunks, send those to POST /chunks, and then this again.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_chunks(uuid, bytea[]) FROM PUBLIC;

COMMENT ON FUNCTION roost.require_chunks(uuid, bytea[]) IS
'Holds chunks to the end of the transaction. Raises RO705 when the workspace has not all of them.';

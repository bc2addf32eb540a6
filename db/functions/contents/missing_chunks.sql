CREATE OR REPLACE FUNCTION api.missing_chunks(workspace_id uuid, hashes text[])
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 10000;
    v_hashes bytea[];
BEGIN
    PERFORM roost.require_user();

    IF (cardinality(missing_chunks.hashes) <= c_most) IS NOT TRUE OR EXISTS (
        SELECT FROM unnest(missing_chunks.hashes) AS named (hash)
        WHERE (named.hash ~ '^[0-9a-f]{64}$') IS NOT TRUE
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'These are no hashes of chunks, or too many.',
            DETAIL = format('Number: %s', coalesce(cardinality(missing_chunks.hashes), 0)),
            HINT = 'Send at most 10,000 SHA-256, each as 64 digits of base 16 in lower case.';
    END IF;

    v_hashes := roost.lease_own_chunks(
        missing_chunks.workspace_id,
        ARRAY(
            SELECT decode(named.hash, 'hex') FROM unnest(missing_chunks.hashes) AS named (hash)
        )
    );

    RETURN ARRAY(
        SELECT named.hash
        FROM unnest(missing_chunks.hashes) WITH ORDINALITY AS named (hash, place)
        WHERE NOT EXISTS (
            SELECT FROM unnest(v_hashes) AS own (hash) WHERE own.hash = decode(named.hash, 'hex')
        )
        GROUP BY named.hash
        ORDER BY min(named.place)
    );
END;
$$;

ALTER FUNCTION api.missing_chunks(uuid, text[]) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.missing_chunks(uuid, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.missing_chunks(uuid, text[]) TO roost_user;

COMMENT ON FUNCTION api.missing_chunks(uuid, text[]) IS
'Which chunks of a file are to be sent: those of which the workspace has none yet. The others are
kept for 24 hours, so that POST /contents can name them. What other workspaces have counts for
nothing here.

Callers: editors and the owner of the workspace.
Arguments: workspace_id. hashes, a list of at most 10,000 SHA-256, each as 64 digits of base 16 in
lower case.
Returns: those of the hashes that are missing, a list in the order sent, each once.
Errors: RO101, RO201 (not your workspace), RO202 (role too low), RO302 (no hashes, or too many).
Example: POST /rpc/missing_chunks {"workspace_id": "<id>", "hashes": ["<sha256>"]}';

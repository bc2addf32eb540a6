CREATE OR REPLACE FUNCTION roost.lease_chunks(p_workspace_id uuid, p_hashes bytea[])
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
-- In one order, for two that lease the same.
INSERT INTO roost.chunk_leases AS lease (workspace_id, chunk_hash, expires_at)
SELECT p_workspace_id, listed.hash, now() + interval '24 hours'
FROM (SELECT DISTINCT hash FROM unnest(p_hashes) AS named (hash) ORDER BY hash) AS listed
ON CONFLICT ON CONSTRAINT chunk_leases_pkey
DO UPDATE SET expires_at = excluded.expires_at;
$$;

REVOKE ALL ON FUNCTION roost.lease_chunks(uuid, bytea[]) FROM PUBLIC;

COMMENT ON FUNCTION roost.lease_chunks(uuid, bytea[]) IS
'Keeps chunks for 24 hours without a content. Whoever calls holds them.';

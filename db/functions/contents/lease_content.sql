CREATE OR REPLACE FUNCTION roost.lease_content(p_content_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO roost.content_leases (content_id, expires_at)
VALUES (p_content_id, now() + interval '24 hours')
ON CONFLICT ON CONSTRAINT content_leases_pkey
DO UPDATE SET expires_at = excluded.expires_at;
$$;

REVOKE ALL ON FUNCTION roost.lease_content(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.lease_content(uuid) IS
'Keeps a content for 24 hours without a file. Whoever calls holds it.';

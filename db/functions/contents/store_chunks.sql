CREATE OR REPLACE FUNCTION roost.store_chunks(
    p_workspace_id uuid,
    p_hashes bytea[],
    p_sizes integer[],
    p_bytes bytea
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_writable(p_workspace_id);
    PERFORM roost.keep_chunks(p_hashes, p_sizes, p_bytes);
    PERFORM roost.lease_chunks(p_workspace_id, p_hashes);
END;
$$;

REVOKE ALL ON FUNCTION roost.store_chunks(uuid, bytea[], integer[], bytea) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.store_chunks(uuid, bytea[], integer[], bytea) TO roost_user;

COMMENT ON FUNCTION roost.store_chunks(uuid, bytea[], integer[], bytea) IS
'Stores chunks for a workspace, and keeps them for 24 hours; p_bytes is cut into p_sizes, each
with its SHA-256 in p_hashes. Errors: RO101, RO201, RO202.';

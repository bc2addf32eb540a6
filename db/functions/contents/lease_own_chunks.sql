CREATE OR REPLACE FUNCTION roost.lease_own_chunks(p_workspace_id uuid, p_hashes bytea[])
RETURNS bytea[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_hashes bytea[];
BEGIN
    PERFORM roost.require_writable(p_workspace_id);
    v_hashes := roost.own_chunks(p_workspace_id, p_hashes);
    PERFORM roost.lease_chunks(p_workspace_id, v_hashes);

    RETURN v_hashes;
END;
$$;

REVOKE ALL ON FUNCTION roost.lease_own_chunks(uuid, bytea[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lease_own_chunks(uuid, bytea[]) TO roost_api;

COMMENT ON FUNCTION roost.lease_own_chunks(uuid, bytea[]) IS
'Which of these chunks a workspace of the caller''s has; they stay for 24 hours. Errors: RO101,
RO201, RO202.';

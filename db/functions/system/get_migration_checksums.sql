CREATE OR REPLACE FUNCTION roost.get_migration_checksums()
RETURNS TABLE (id text, kind text, sha256 text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT checksum.id, checksum.kind, checksum.sha256
    FROM roost.migration_checksums AS checksum
    ORDER BY checksum.id;
$$;

REVOKE ALL ON FUNCTION roost.get_migration_checksums() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_migration_checksums() TO roost_gateway;

COMMENT ON FUNCTION roost.get_migration_checksums() IS
'What has been applied to this database, for a server to compare with its own files.';

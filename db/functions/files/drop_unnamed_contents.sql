-- Whoever deletes versions holds the workspace, as whoever puts a content into a file does: nobody
-- can name one meanwhile that this has found unnamed.
CREATE OR REPLACE FUNCTION roost.drop_unnamed_contents()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM roost.file_contents AS content
    WHERE content.id IN (SELECT DISTINCT went.content_id FROM gone AS went)
        AND NOT EXISTS (
            SELECT FROM roost.file_versions AS kept WHERE kept.content_id = content.id
        )
        AND NOT EXISTS (
            SELECT FROM roost.file_sync_state AS file WHERE file.content_id = content.id
        )
        -- Somebody is about to put it into one.
        AND NOT EXISTS (
            SELECT FROM roost.content_leases AS lease WHERE lease.content_id = content.id
        );

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.drop_unnamed_contents() FROM PUBLIC;

COMMENT ON FUNCTION roost.drop_unnamed_contents() IS
'Trigger: a content goes with the last file and the last version that it was in.';

-- Runs as the owner: people do not read the uploads of others, but may know that there are some.
CREATE OR REPLACE FUNCTION roost.upload_status(p_workspace_id uuid, p_path text)
RETURNS roost.file_sync_status
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE bool_or(upload.received > 0)
        WHEN true THEN 'syncing'::roost.file_sync_status
        WHEN false THEN 'pending'
        ELSE 'synced'
    END
    FROM roost.uploads AS upload
    WHERE upload.workspace_id = p_workspace_id
        AND hashtextextended(upload.path, 0) = hashtextextended(p_path, 0)
        AND upload.path = p_path
        AND upload.outcome IS NULL
        AND upload.kind <> 'partial'
        AND upload.expires_at > now();
$$;

REVOKE ALL ON FUNCTION roost.upload_status(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.upload_status(uuid, text) TO roost_api;

COMMENT ON FUNCTION roost.upload_status(uuid, text) IS
'What the sync status of a file in step is by the uploads to its path: pending, syncing when bytes
have arrived, else synced. Whoever calls has looked at the caller''s right to the workspace.';

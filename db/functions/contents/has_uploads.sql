-- Runs as the owner: people do not read the uploads of others, but may know that there are some.
CREATE OR REPLACE FUNCTION roost.has_uploads(p_workspace_id uuid)
RETURNS boolean
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- However many there are in other workspaces.
SET enable_seqscan = off
AS $$
    SELECT EXISTS (
        SELECT FROM roost.uploads AS upload
        WHERE upload.workspace_id = p_workspace_id
            AND upload.outcome IS NULL
            AND upload.kind <> 'partial'
    );
$$;

REVOKE ALL ON FUNCTION roost.has_uploads(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.has_uploads(uuid) TO roost_api;

COMMENT ON FUNCTION roost.has_uploads(uuid) IS
'Whether anything is on its way up to a workspace, or has stopped on the way. Whoever calls has
looked at the caller''s right to it.';

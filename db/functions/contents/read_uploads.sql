-- Runs as the owner: the rows of others have more than members are to know.
CREATE OR REPLACE FUNCTION roost.read_uploads(
    p_workspace_id uuid,
    p_page_size integer,
    p_after_id uuid
)
RETURNS SETOF roost.upload_under_way
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        upload.id,
        upload.path,
        upload.received,
        upload.length,
        upload.user_id,
        upload.device_id,
        upload.created_at,
        upload.expires_at
    FROM roost.uploads AS upload
    WHERE upload.workspace_id = p_workspace_id
        AND upload.outcome IS NULL
        AND upload.kind <> 'partial'
        AND upload.expires_at > now()
        AND upload.id > p_after_id
        AND roost.own_workspace_role(p_workspace_id) IS NOT NULL
    ORDER BY upload.id
    LIMIT p_page_size;
$$;

REVOKE ALL ON FUNCTION roost.read_uploads(uuid, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_uploads(uuid, integer, uuid) TO roost_api;

COMMENT ON FUNCTION roost.read_uploads(uuid, integer, uuid) IS
'What is on its way up to a workspace of the caller''s, the oldest first; nothing for others.';

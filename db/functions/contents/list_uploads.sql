CREATE OR REPLACE FUNCTION api.list_uploads(
    workspace_id uuid,
    page_size integer DEFAULT 100,
    after_id uuid DEFAULT NULL
)
RETURNS SETOF roost.upload_under_way
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_workspace(list_uploads.workspace_id, 'viewer');
    PERFORM roost.require_page_size(list_uploads.page_size);

    RETURN QUERY
    SELECT listed.*
    FROM roost.read_uploads(
        list_uploads.workspace_id,
        list_uploads.page_size,
        coalesce(list_uploads.after_id, '00000000-0000-0000-0000-000000000000')
    ) AS listed;
END;
$$;

ALTER FUNCTION api.list_uploads(uuid, integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_uploads(uuid, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_uploads(uuid, integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_uploads(uuid, integer, uuid) IS
'Lists what is on its way up to a workspace, or has stopped on the way and may go on, the oldest
first. Parts of an upload that is yet to be made of them are not listed.

Callers: members of the workspace.
Arguments: workspace_id. page_size, 1 to 200 rows. after_id, id of the last row of the page
before.
Returns: a list: id, path, received and length in bytes, user_id, device_id, created_at,
expires_at. length is null where the client does not know it yet.
Errors: RO101, RO201 (not your workspace), RO302 (page size).
Example: POST /rpc/list_uploads {"workspace_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.list_file_versions(
    file_id uuid,
    page_size integer DEFAULT 50,
    before_version bigint DEFAULT NULL
)
RETURNS SETOF roost.file_version
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file roost.file := roost.require_file(list_file_versions.file_id, true);
    v_before bigint := coalesce(list_file_versions.before_version, 9223372036854775807);
BEGIN
    PERFORM roost.require_page_size(list_file_versions.page_size);

    RETURN QUERY
    SELECT
        old.file_id, old.version, encode(old.hash, 'hex'), old.size, old.media_type,
        old.modified_at, old.created_by, old.device_id, old.created_at
    FROM roost.file_versions AS old
    WHERE old.file_id = v_file.id AND old.version < v_before
    ORDER BY old.version DESC
    LIMIT list_file_versions.page_size;
END;
$$;

ALTER FUNCTION api.list_file_versions(uuid, integer, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_file_versions(uuid, integer, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_file_versions(uuid, integer, bigint) TO roost_user;

COMMENT ON FUNCTION api.list_file_versions(uuid, integer, bigint) IS
'Lists what a file has had in it, newest first: its newest 100 versions, and all of the last 30
days. Also of one that is deleted.

Callers: members of the workspace.
Arguments: file_id. page_size, 1 to 200 rows. before_version, version of the last row of the page
before.
Returns: a list: file_id, version, hash, size, media_type, modified_at, created_by, device_id,
created_at. A folder has none.
Errors: RO101, RO201 (no such file), RO302 (page size).
Example: POST /rpc/list_file_versions {"file_id": "<id>"}';

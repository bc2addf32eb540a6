-- Up through its folders, by their ids: there are 64 at most.
CREATE OR REPLACE FUNCTION roost.file_path(p_file_id uuid)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE above AS (
        SELECT file.parent_id, file.name::text AS path, file.deleted_at IS NULL AS is_there
        FROM roost.file_sync_state AS file
        WHERE file.id = p_file_id
        UNION ALL
        SELECT
            folder.parent_id, concat(folder.name, '/', above.path),
            above.is_there AND folder.deleted_at IS NULL
        FROM above
        JOIN roost.file_sync_state AS folder ON folder.id = above.parent_id
    )

    SELECT above.path
    FROM above
    WHERE above.parent_id IS NULL AND above.is_there;
$$;

REVOKE ALL ON FUNCTION roost.file_path(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.file_path(uuid) TO roost_api;

COMMENT ON FUNCTION roost.file_path(uuid) IS
'Where a file or folder is; NULL where there is none, or it or a folder above it is deleted.';

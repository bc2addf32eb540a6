-- One expression, bound when it is made, so that the planner puts it into the statement. Each
-- argument but the row is named once: what is named twice, and costs something, would not be.
CREATE OR REPLACE FUNCTION roost.describe_listed_file(
    p_file roost.file_sync_state,
    p_path text,
    p_sync_status roost.file_sync_status
)
RETURNS roost.file
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_file.id,
    p_file.workspace_id,
    p_file.parent_id,
    p_file.kind,
    p_file.name,
    p_path,
    pg_catalog.encode(p_file.hash, 'hex'),
    p_file.size,
    p_file.media_type,
    p_file.modified_at,
    p_file.version,
    p_sync_status,
    p_file.metadata::jsonb,
    p_file.change_seq,
    p_file.created_at,
    p_file.updated_at,
    p_file.deleted_at,
    p_file.created_by,
    p_file.updated_by
)::roost.file;

REVOKE ALL ON FUNCTION
    roost.describe_listed_file(roost.file_sync_state, text, roost.file_sync_status)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    roost.describe_listed_file(roost.file_sync_state, text, roost.file_sync_status)
TO roost_api;

COMMENT ON FUNCTION
    roost.describe_listed_file(roost.file_sync_state, text, roost.file_sync_status)
IS 'A file or folder as roost.describe_file answers it, but for its sync status.';

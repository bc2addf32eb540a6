-- One expression, bound when it is made, so that the planner puts it into the statement.
CREATE OR REPLACE FUNCTION roost.describe_file(p_file roost.file_sync_state, p_path text)
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
    p_file.sync_status,
    p_file.metadata::jsonb,
    p_file.change_seq,
    p_file.created_at,
    p_file.updated_at,
    p_file.deleted_at,
    p_file.created_by,
    p_file.updated_by
)::roost.file;

REVOKE ALL ON FUNCTION roost.describe_file(roost.file_sync_state, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_file(roost.file_sync_state, text) TO roost_api;

COMMENT ON FUNCTION roost.describe_file(roost.file_sync_state, text) IS
'A file or folder as clients get it: in lists, and in the events file.*.';

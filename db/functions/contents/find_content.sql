CREATE OR REPLACE FUNCTION roost.find_content(p_workspace_id uuid, p_hash bytea)
RETURNS roost.file_contents
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
SELECT content.*
FROM roost.file_contents AS content
WHERE content.workspace_id = p_workspace_id AND content.hash = p_hash;
$$;

REVOKE ALL ON FUNCTION roost.find_content(uuid, bytea) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_content(uuid, bytea) TO roost_api;

COMMENT ON FUNCTION roost.find_content(uuid, bytea) IS
'The content of a workspace with this hash, NULLs where there is none. Whoever calls has looked at
the caller''s right to the workspace.';

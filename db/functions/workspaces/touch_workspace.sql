CREATE OR REPLACE FUNCTION api.touch_workspace(workspace_id uuid)
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_workspace(touch_workspace.workspace_id, 'viewer');

    RETURN roost.move_last_accessed(touch_workspace.workspace_id);
END;
$$;

ALTER FUNCTION api.touch_workspace(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.touch_workspace(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.touch_workspace(uuid) TO roost_user;

COMMENT ON FUNCTION api.touch_workspace(uuid) IS
'Says that the caller has opened a workspace. That is written at most once a minute, and told to
nobody.

Callers: members of the workspace.
Arguments: workspace_id.
Returns: last_accessed, the time that is written now.
Errors: RO101, RO201 (not your workspace).
Example: POST /rpc/touch_workspace {"workspace_id": "<id>"}';

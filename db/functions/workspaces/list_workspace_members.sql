CREATE OR REPLACE FUNCTION api.list_workspace_members(
    workspace_id uuid,
    page_size integer DEFAULT 50,
    after_user_id uuid DEFAULT NULL
)
RETURNS SETOF roost.workspace_member
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_after uuid := coalesce(
        list_workspace_members.after_user_id, '00000000-0000-0000-0000-000000000000'
    );
BEGIN
    PERFORM roost.require_workspace(list_workspace_members.workspace_id, 'viewer');
    PERFORM roost.require_page_size(list_workspace_members.page_size);

    RETURN QUERY
    SELECT (roost.describe_workspace_member(member)).*
    FROM roost.workspace_members AS member
    WHERE member.workspace_id = list_workspace_members.workspace_id
        AND member.user_id > v_after
        AND member.left_at IS NULL
    ORDER BY member.user_id
    LIMIT list_workspace_members.page_size;
END;
$$;

ALTER FUNCTION api.list_workspace_members(uuid, integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_workspace_members(uuid, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_workspace_members(uuid, integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_workspace_members(uuid, integer, uuid) IS
'Lists who is in a workspace, by user id.

Callers: members of the workspace.
Arguments: workspace_id. page_size, 1 to 200 rows. after_user_id, user_id of the last row of the
page before.
Returns: a list of members.
Errors: RO101, RO201 (not your workspace), RO302 (page size).
Example: POST /rpc/list_workspace_members {"workspace_id": "<id>"}';

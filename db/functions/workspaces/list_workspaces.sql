CREATE OR REPLACE FUNCTION api.list_workspaces(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.workspace
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A workspace is left out when those before it on the page have this much content.
    c_most_bytes CONSTANT integer := 4194304;
    v_user_id uuid := roost.require_user();
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_before uuid := coalesce(
        list_workspaces.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    );
BEGIN
    PERFORM roost.require_page_size(list_workspaces.page_size);

    RETURN QUERY
    SELECT (page.described).*
    FROM (
        SELECT
            listed.workspace_id,
            roost.describe_workspace(workspace, listed.member) AS described,
            sum(octet_length(workspace.settings::text)) OVER (
                ORDER BY listed.workspace_id DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM (
            SELECT member.workspace_id, member
            FROM roost.workspace_members AS member
            WHERE member.user_id = v_user_id
                AND member.left_at IS NULL
                AND member.workspace_id < v_before
            ORDER BY member.workspace_id DESC
            LIMIT list_workspaces.page_size
        ) AS listed
        JOIN roost.workspaces AS workspace ON workspace.id = listed.workspace_id
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
    ORDER BY page.workspace_id DESC;
END;
$$;

ALTER FUNCTION api.list_workspaces(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_workspaces(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_workspaces(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_workspaces(integer, uuid) IS
'Lists the workspaces that the caller is in, newest first: their own, and those that others share
with them.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of workspaces, each with the caller''s role. A page ends early once it has 4 MiB of
settings, so a short page need not be the last: go on from its last row until a page is empty.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_workspaces {}';

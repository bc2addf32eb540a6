CREATE OR REPLACE FUNCTION api.delete_workspace(workspace_id uuid)
RETURNS roost.workspace
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace roost.workspace;
    v_user_ids uuid[];
BEGIN
    -- Somebody who is being added meanwhile has come first, or finds nothing to be added to.
    PERFORM roost.lock_workspace(delete_workspace.workspace_id, 'owner');

    v_user_ids := ARRAY(
        SELECT member.user_id
        FROM roost.workspace_members AS member
        WHERE member.workspace_id = delete_workspace.workspace_id AND member.left_at IS NULL
    );

    PERFORM roost.publish_workspace(
        delete_workspace.workspace_id, 'workspace.deleted', 'everybody'
    );
    v_workspace := roost.own_workspace(delete_workspace.workspace_id);

    DELETE FROM roost.workspaces AS workspace
    WHERE workspace.id = delete_workspace.workspace_id;

    -- Every inbox is a row lock, taken in one order everywhere.
    PERFORM realtime.publish(
        format('user:%s', listed.user_id),
        'workspace.removed',
        json_build_object('workspace_id', delete_workspace.workspace_id)
    )
    FROM (
        SELECT member.user_id
        FROM unnest(v_user_ids) AS member (user_id)
        ORDER BY member.user_id
    ) AS listed;

    RETURN v_workspace;
END;
$$;

ALTER FUNCTION api.delete_workspace(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.delete_workspace(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.delete_workspace(uuid) TO roost_user;

COMMENT ON FUNCTION api.delete_workspace(uuid) IS
'Deletes a workspace for good: from that moment on nobody sees anything of it, live sockets
included. Everybody in it gets workspace.deleted, and workspace.removed in their inbox. Its id stays
used, its path is free.

Callers: the owner of the workspace.
Arguments: workspace_id.
Returns: the workspace as it was, an object.
Errors: RO101, RO201 (not your workspace, or deleted before), RO202 (role too low).
Example: POST /rpc/delete_workspace {"workspace_id": "<id>"}';

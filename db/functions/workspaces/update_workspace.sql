CREATE OR REPLACE FUNCTION api.update_workspace(
    workspace_id uuid,
    name text DEFAULT NULL,
    path text DEFAULT NULL,
    settings jsonb DEFAULT NULL
)
RETURNS roost.workspace
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_path text;
    v_found_id uuid;
BEGIN
    PERFORM roost.lock_workspace(update_workspace.workspace_id, 'owner');

    IF update_workspace.path IS NOT NULL THEN
        v_path := roost.normalise_path(update_workspace.path);
    END IF;

    -- What changes nothing is no event.
    BEGIN
        UPDATE roost.workspaces AS workspace
        SET name = wanted.name,
            path = wanted.path,
            settings = wanted.settings
        FROM (
            SELECT
                current.id,
                coalesce(update_workspace.name, current.name) AS name,
                coalesce(v_path, current.path) AS path,
                roost.merge_keys(current.settings, update_workspace.settings) AS settings
            FROM roost.workspaces AS current
            WHERE current.id = update_workspace.workspace_id
        ) AS wanted
        WHERE workspace.id = wanted.id
            AND (workspace.name, workspace.path, workspace.settings::jsonb)
            IS DISTINCT FROM (wanted.name, wanted.path, wanted.settings)
        RETURNING workspace.id INTO v_found_id;
    EXCEPTION
        -- Also of one that another device has made while this waited for it.
        WHEN unique_violation THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'You have another workspace of this path.',
                DETAIL = format('path: %s', left(v_path, 200)),
                HINT = 'Find it with list_workspaces, or send another path.';
    END;

    IF v_found_id IS NOT NULL THEN
        PERFORM roost.publish_workspace(v_found_id, 'workspace.updated');
    END IF;

    RETURN roost.own_workspace(update_workspace.workspace_id);
END;
$$;

ALTER FUNCTION api.update_workspace(uuid, text, text, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.update_workspace(uuid, text, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.update_workspace(uuid, text, text, jsonb) TO roost_user;

COMMENT ON FUNCTION api.update_workspace(uuid, text, text, jsonb) IS
'Changes a workspace. What is left out stays as it is. Everybody in it gets workspace.updated; a
call that changes nothing tells nobody.

Callers: the owner of the workspace.
Arguments: workspace_id. name, 1 to 200 characters. path, as for create_workspace. settings, an
object that is laid over the stored one key by key; a key whose value is null is removed; at most
64 KiB.
Returns: the workspace, an object.
Errors: RO101, RO201 (not your workspace), RO202 (role too low), RO301 (you have another workspace
of this path), RO302 (no full path), 23514 (a value does not fit).
Example: POST /rpc/update_workspace {"workspace_id": "<id>", "settings": {"theme": "dark"}}';

CREATE OR REPLACE FUNCTION api.create_workspace(
    name text,
    path text,
    settings jsonb DEFAULT '{}',
    id uuid DEFAULT NULL
)
RETURNS roost.workspace
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_id uuid := coalesce(create_workspace.id, roost.uuid_v7());
    v_path text := roost.normalise_path(create_workspace.path);
    v_found_id uuid;
BEGIN
    INSERT INTO roost.workspaces (id, user_id, name, path, settings)
    VALUES (v_id, v_user_id, create_workspace.name, v_path, create_workspace.settings)
    -- The same id or path sent twice at once: the second waits here until the first has committed,
    -- and then finds its workspace.
    ON CONFLICT DO NOTHING;

    IF NOT FOUND THEN
        IF EXISTS (
            SELECT FROM roost.workspaces AS workspace
            WHERE workspace.id = v_id AND workspace.user_id = v_user_id
        ) THEN
            RETURN roost.own_workspace(v_id);
        END IF;

        SELECT workspace.id
        INTO v_found_id
        FROM roost.workspaces AS workspace
        WHERE workspace.user_id = v_user_id
            AND workspace.path_hash = roost.hash_path(v_path);

        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'You have a workspace of this path.',
                DETAIL = format('Workspace: %s', v_found_id),
                HINT = 'Use that one, or send another path.';
        END IF;
    END IF;

    -- The topic outlives its workspace, so that an id that was used is known for ever: whoever may
    -- read a new workspace must not read what was told in an old one.
    IF NOT FOUND OR realtime.last_offset(format('workspace:%s', v_id)) > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'This id already stands for another workspace, or for one that was deleted.',
            DETAIL = format('Id: %s', v_id),
            HINT = 'Make a new id for a new workspace.';
    END IF;

    INSERT INTO roost.workspace_members (workspace_id, user_id, role)
    VALUES (v_id, v_user_id, 'owner');

    PERFORM realtime.publish(
        format('user:%s', v_user_id),
        'workspace.added',
        json_build_object(
            'workspace_id', v_id, 'name', create_workspace.name, 'added_by', v_user_id
        ),
        p_grants_topic => format('workspace:%s', v_id),
        p_grants_after => 0
    );

    RETURN roost.own_workspace(v_id);
END;
$$;

ALTER FUNCTION api.create_workspace(text, text, jsonb, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.create_workspace(text, text, jsonb, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.create_workspace(text, text, jsonb, uuid) TO roost_user;

COMMENT ON FUNCTION api.create_workspace(text, text, jsonb, uuid) IS
'Makes a workspace: a folder that a person works in, on whichever device. The caller becomes its
owner, and their devices get workspace.added in the inbox, user:<id>.

Callers: signed-in people.
Arguments: name, 1 to 200 characters. path, the folder''s full path on any system, at most 4096
bytes: it begins with /, ~, C:\ or \\server. settings, an object of at most 64 KiB. id, a UUID
(version 7 is best) made by the client: sent again it answers the workspace that is there, as it is
now.
Returns: the workspace, an object; its path is written in one way, as docs/reference/workspaces.md
says.
Errors: RO101, RO301 (you have a workspace of this path: its id is in details; or the id is
another''s), RO302 (no full path), 23502 and 23514 (a value is missing or does not fit).
Example: POST /rpc/create_workspace {"name": "Roost", "path": "~/src/roost"}';

CREATE OR REPLACE FUNCTION roost.put_file(
    p_workspace_id uuid,
    p_path text,
    p_content_id uuid,
    p_base_version bigint,
    p_modified_at timestamptz,
    p_media_type text,
    p_metadata jsonb,
    p_conflict_policy text,
    p_file_id uuid
)
RETURNS roost.file_outcome
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_operation roost.device_operation;
    v_outcome roost.file_outcome;
BEGIN
    IF coalesce(p_conflict_policy, 'merge') NOT IN (
        'last_write_wins', 'server_wins', 'client_wins', 'merge', 'manual'
    ) OR p_base_version < 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'There is no such policy or version.',
            DETAIL = format(
                'conflict_policy: %s; base_version: %s', left(p_conflict_policy, 200),
                p_base_version
            ),
            HINT = 'Send last_write_wins, server_wins, client_wins, merge or manual, and the'
                ' version that the file is based on, 0 for none.';
    END IF;

    v_operation.kind := 'put_file_state';
    v_operation.policy := coalesce(p_conflict_policy, 'merge')::roost.conflict_policy;
    v_operation.args := jsonb_build_object(
        'workspace_id', p_workspace_id,
        'path', p_path,
        'base_version', p_base_version,
        'modified_at', p_modified_at,
        'media_type', p_media_type,
        'file_id', p_file_id
    );
    v_outcome := roost.write_file(
        v_operation, p_workspace_id, p_path, p_content_id, p_base_version, p_modified_at,
        p_media_type, p_metadata, p_file_id
    );

    -- At the end, since inboxes come after workspaces in the order of locks.
    PERFORM roost.publish_conflict(
        conflict,
        CASE conflict.state WHEN 'open' THEN 'conflict.opened' ELSE 'conflict.resolved' END
    )
    FROM roost.sync_conflicts AS conflict
    WHERE conflict.id = v_outcome.conflict_id
        AND conflict.created_at = now();

    RETURN v_outcome;
END;
$$;

REVOKE ALL ON FUNCTION roost.put_file(
    uuid, text, uuid, bigint, timestamptz, text, jsonb, text, uuid
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.put_file(
    uuid, text, uuid, bigint, timestamptz, text, jsonb, text, uuid
) TO roost_api;

COMMENT ON FUNCTION roost.put_file(
    uuid, text, uuid, bigint, timestamptz, text, jsonb, text, uuid
) IS
'Puts a content at a path of a workspace as the caller, as roost.write_file does, and tells the
person''s devices of a conflict that this has opened. A base version of NULL compares nothing, 0
says that there was none; p_file_id is the file that it is a version of, NULL compares none.
Raises what roost.write_file raises.';

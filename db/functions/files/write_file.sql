-- The one place where contents get names. Everything is looked at behind the lock on the workspace,
-- so of two devices that write the same path the second finds what the first has made of it.
CREATE OR REPLACE FUNCTION roost.write_file(
    p_operation roost.device_operation,
    p_workspace_id uuid,
    p_path text,
    p_content_id uuid,
    p_base_version bigint,
    p_modified_at timestamptz,
    p_media_type text,
    p_metadata jsonb,
    p_file_id uuid
)
RETURNS roost.file_outcome
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parts text[];
    v_path text;
    v_content roost.file_contents;
    v_file roost.file_sync_state;
    v_parent_id uuid;
    v_described roost.file;
    v_copy roost.file;
    v_merge roost.text_merge;
    v_merged_id uuid;
    v_operation roost.device_operation := p_operation;
    v_base jsonb;
    v_known roost.sync_conflicts;
    v_is_stale boolean;
    v_base_version bigint := p_base_version;
    v_outcome roost.file_outcome;
BEGIN
    PERFORM roost.lock_workspace(p_workspace_id, 'editor');
    v_parts := roost.split_file_path(p_path);
    v_path := array_to_string(v_parts, '/');
    v_content := roost.require_content(p_workspace_id, p_content_id);
    v_file := roost.find_file(p_workspace_id, v_parts);

    IF v_file.kind = 'folder' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'A folder is at this path.',
            DETAIL = format('path: %s; File: %s', left(v_path, 200), v_file.id),
            HINT = 'Send another path, or move the folder first.';
    END IF;

    IF v_file.id IS NULL THEN
        v_parent_id := roost.make_folders(p_workspace_id, v_parts[1 : cardinality(v_parts) - 1]);

        -- A deletion does not beat an edit of what was deleted.
        IF p_base_version > 0 THEN
            SELECT file.*
            INTO v_file
            FROM roost.file_sync_state AS file
            WHERE file.workspace_id = p_workspace_id
                AND file.container_id = coalesce(v_parent_id, p_workspace_id)
                AND file.name = v_parts[cardinality(v_parts)]
                AND file.deleted_at IS NOT NULL
                AND file.kind = 'file'
                AND (p_file_id IS NULL OR file.id = p_file_id)
            ORDER BY file.deleted_at DESC
            LIMIT 1;
        END IF;

        IF v_file.id IS NOT NULL AND v_operation.policy = 'server_wins' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO303',
                MESSAGE = 'The file was deleted since the version that this is based on.',
                DETAIL = row_to_json(roost.describe_file(v_file, NULL))::text,
                HINT = 'Send it based on version 0, or by another policy, to have it again.';
        END IF;

        IF v_file.id IS NOT NULL THEN
            v_described := roost.add_file_version(
                v_file.id, v_content, p_media_type, p_modified_at, p_metadata
            );
            v_outcome.outcome := 'updated';
        ELSE
            v_described := roost.add_file(
                p_workspace_id, v_parent_id, v_path, v_content, p_media_type, p_modified_at,
                p_metadata
            );
            v_outcome.outcome := 'created';
        END IF;

        v_outcome.file := to_jsonb(v_described);

        RETURN v_outcome;
    END IF;

    -- Another file has come to the path, with versions of its own.
    IF p_file_id <> v_file.id THEN
        v_base_version := NULL;
    END IF;

    -- Other metadata alone make a version too, but are no reason for a conflict.
    IF v_file.hash = v_content.hash
        AND (
            v_base_version IS DISTINCT FROM v_file.version
            OR p_metadata IS NULL
            OR v_file.metadata::jsonb = p_metadata
        )
    THEN
        v_outcome.outcome := 'unchanged';
        v_outcome.file := to_jsonb(roost.describe_file(v_file, v_path));

        RETURN v_outcome;
    END IF;

    v_is_stale := p_file_id <> v_file.id OR v_base_version <> v_file.version;

    IF v_is_stale AND v_operation.policy = 'server_wins' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The file was changed since the version that this is based on.',
            DETAIL = row_to_json(roost.describe_file(v_file, v_path))::text,
            HINT = 'Make the change again in the version that details has, based on that.';
    END IF;

    SELECT jsonb_build_object(
        'version', old.version, 'hash', encode(old.hash, 'hex'), 'size', old.size
    )
    INTO v_base
    FROM roost.file_versions AS old
    WHERE old.file_id = v_file.id AND old.version = v_base_version AND v_is_stale;

    v_operation.target_id := v_file.id;

    IF v_is_stale AND v_operation.policy = 'merge' THEN
        v_merge := roost.merge_file(v_file, v_base_version, v_content.id);
    END IF;

    -- Sent again after a merge that nobody heard of, it adds nothing to what is there.
    IF v_merge.hunks = '[]' THEN
        v_merged_id := roost.store_content(p_workspace_id, convert_to(v_merge.merged, 'UTF8'));
        v_content := roost.require_content(p_workspace_id, v_merged_id);
        v_outcome.outcome := 'merged';
        v_outcome.file := to_jsonb(
            CASE
                WHEN v_content.hash = v_file.hash THEN roost.describe_file(v_file, v_path)
                ELSE roost.add_file_version(
                    v_file.id, v_content, p_media_type, p_modified_at, p_metadata
                )
            END
        );

        RETURN v_outcome;
    END IF;

    IF v_is_stale IS NOT TRUE OR v_operation.policy IN ('last_write_wins', 'client_wins') THEN
        v_described := roost.add_file_version(
            v_file.id, v_content, p_media_type, p_modified_at, p_metadata
        );

        IF v_is_stale AND v_operation.policy = 'client_wins' THEN
            v_outcome.conflict_id := roost.open_file_conflict(
                v_operation,
                v_base,
                jsonb_build_object('version', v_described.version, 'hash', v_described.hash),
                jsonb_build_object('version', v_file.version, 'hash', encode(v_file.hash, 'hex')),
                NULL,
                false
            );
        END IF;

        v_outcome.outcome := 'updated';
        v_outcome.file := to_jsonb(v_described);

        RETURN v_outcome;
    END IF;

    -- Sent again by a device that was not answered: the copy is there.
    SELECT conflict.*
    INTO v_known
    FROM roost.sync_conflicts AS conflict
    WHERE conflict.target_id = v_file.id
        AND conflict.user_id = roost.current_user_id()
        AND conflict.device_id = roost.current_device_id()
        AND conflict.state = 'open'
        AND conflict.mine ->> 'hash' = encode(v_content.hash, 'hex')
    LIMIT 1;

    v_outcome.outcome := 'conflict';

    IF FOUND THEN
        v_outcome.conflict_id := v_known.id;
        v_outcome.file := to_jsonb(roost.describe_file(v_file, v_path));

        SELECT to_jsonb(roost.describe_file(file, roost.file_path(file.id)))
        INTO v_outcome.copy
        FROM roost.file_sync_state AS file
        WHERE file.id = (v_known.mine ->> 'file_id')::uuid;

        RETURN v_outcome;
    END IF;

    v_copy := roost.add_file(
        p_workspace_id,
        v_file.parent_id,
        array_to_string(
            v_parts[1 : cardinality(v_parts) - 1]
            || roost.name_conflict_copy(p_workspace_id, v_file.container_id, v_file.name),
            '/'
        ),
        v_content,
        p_media_type,
        p_modified_at,
        p_metadata
    );
    v_outcome.conflict_id := roost.open_file_conflict(
        v_operation,
        v_base,
        jsonb_build_object('file_id', v_copy.id, 'hash', v_copy.hash, 'size', v_copy.size),
        jsonb_build_object(
            'version', v_file.version, 'hash', encode(v_file.hash, 'hex'), 'size', v_file.size
        ),
        v_merge.hunks,
        true
    );

    IF v_outcome.conflict_id IS NOT NULL THEN
        UPDATE roost.file_sync_state AS file
        SET sync_status = 'conflict'
        WHERE file.id = v_file.id;
    END IF;

    v_outcome.copy := to_jsonb(v_copy);
    v_outcome.file := to_jsonb(
        roost.publish_file(
            v_file.id,
            'file.conflict',
            v_path,
            jsonb_build_object('conflict_id', v_outcome.conflict_id, 'copy', v_outcome.copy)
        )
    );

    RETURN v_outcome;
END;
$$;

REVOKE ALL ON FUNCTION roost.write_file(
    roost.device_operation, uuid, text, uuid, bigint, timestamptz, text, jsonb, uuid
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.write_file(
    roost.device_operation, uuid, text, uuid, bigint, timestamptz, text, jsonb, uuid
) TO roost_api;

COMMENT ON FUNCTION roost.write_file(
    roost.device_operation, uuid, text, uuid, bigint, timestamptz, text, jsonb, uuid
) IS
'Puts a content at a path of a workspace, and tells it. What others have put there since the
version that it is based on is merged with it where all is text, else what the caller has made is
kept in a copy beside it, and a conflict is opened: roost.publish_conflict is to be called with
that at the end of the transaction. p_file_id is the file that this version is of: where another is
at the path, all of that is what others have put there. Raises RO101, RO201, RO202, RO301, RO302,
RO303, RO310, RO311.';

CREATE OR REPLACE FUNCTION roost.resolve_file_conflict(
    p_conflict roost.sync_conflicts,
    p_strategy roost.conflict_strategy,
    p_content jsonb
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace_id uuid := (p_conflict.args ->> 'workspace_id')::uuid;
    v_copy_id uuid := (p_conflict.mine ->> 'file_id')::uuid;
    v_file roost.file;
    v_copy roost.file_sync_state;
    v_content roost.file_contents;
BEGIN
    IF p_strategy = 'merged' AND p_content - ARRAY['hash', 'size'] <> '{}' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The content has a field that is not known.',
            DETAIL = format('content: %s', left(p_content::text, 200)),
            HINT = 'Send {"hash": ...}, the SHA-256 of a content that was uploaded.';
    END IF;

    v_file := roost.require_file(p_conflict.target_id, true);

    SELECT file.*
    INTO v_copy
    FROM roost.file_sync_state AS file
    WHERE file.id = v_copy_id AND roost.file_path(file.id) IS NOT NULL;

    -- As the copy is now: it may have been worked on.
    IF p_strategy = 'mine' AND v_copy.content_id IS NOT NULL THEN
        v_content := roost.require_content(v_workspace_id, v_copy.content_id);
    ELSIF p_strategy = 'mine' THEN
        v_content := roost.find_put_content(v_workspace_id, p_conflict.mine ->> 'hash', NULL);
    ELSIF p_strategy = 'merged' THEN
        v_content := roost.find_put_content(
            v_workspace_id, p_content ->> 'hash', (p_content ->> 'size')::bigint
        );
    END IF;

    PERFORM roost.settle_file_status(v_file.id, p_conflict.id);

    IF v_content.id IS NOT NULL AND encode(v_content.hash, 'hex') <> v_file.hash THEN
        PERFORM roost.add_file_version(
            v_file.id, v_content, v_copy.media_type, v_copy.modified_at, NULL
        );
    ELSE
        PERFORM roost.publish_file(v_file.id, 'file.updated', roost.file_path(v_file.id));
    END IF;

    IF v_copy.id IS NOT NULL THEN
        PERFORM roost.mark_file_deleted(v_copy.id);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.resolve_file_conflict(
    roost.sync_conflicts, roost.conflict_strategy, jsonb
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.resolve_file_conflict(
    roost.sync_conflicts, roost.conflict_strategy, jsonb
) TO roost_api;

COMMENT ON FUNCTION roost.resolve_file_conflict(
    roost.sync_conflicts, roost.conflict_strategy, jsonb
) IS
'Puts in place what a conflict about a file was decided to be, and deletes the copy that was kept
beside it. To be called under roost.lock_workspace. Raises RO201, RO302, RO311.';

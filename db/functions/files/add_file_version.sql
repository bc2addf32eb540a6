CREATE OR REPLACE FUNCTION roost.add_file_version(
    p_file_id uuid,
    p_content roost.file_contents,
    p_media_type text,
    p_modified_at timestamptz,
    p_metadata jsonb
)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_kept CONSTANT bigint := 100;
    c_kept_for CONSTANT interval := '30 days'::interval;
    v_was_deleted boolean;
    v_file roost.file_sync_state;
BEGIN
    SELECT file.deleted_at IS NOT NULL
    INTO STRICT v_was_deleted
    FROM roost.file_sync_state AS file
    WHERE file.id = p_file_id;

    UPDATE roost.file_sync_state AS file
    SET content_id = p_content.id,
        hash = p_content.hash,
        size = p_content.size,
        media_type = coalesce(p_media_type, file.media_type),
        modified_at = p_modified_at,
        metadata = coalesce(p_metadata, file.metadata),
        version = file.version + 1,
        sync_status = CASE
            WHEN file.sync_status = 'conflict' THEN 'conflict'::roost.file_sync_status
            WHEN file.sync_status = 'error' AND roost.has_open_conflict(file.id) THEN 'conflict'
            ELSE 'synced'
        END,
        updated_at = now(),
        updated_by = roost.current_user_id(),
        deleted_at = NULL
    WHERE file.id = p_file_id
    RETURNING file.* INTO STRICT v_file;

    INSERT INTO roost.file_versions (
        file_id, version, workspace_id, content_id, hash, size, media_type, modified_at,
        created_by, device_id
    )
    VALUES (
        v_file.id, v_file.version, v_file.workspace_id, v_file.content_id, v_file.hash, v_file.size,
        v_file.media_type, v_file.modified_at, roost.current_user_id(), roost.current_device_id()
    );

    -- The one that is now behind the newest, so that nobody has to search for it.
    UPDATE roost.file_versions AS old
    SET expires_at = old.created_at + c_kept_for
    WHERE old.file_id = v_file.id AND old.version = v_file.version - c_kept;

    RETURN roost.publish_file(
        v_file.id,
        CASE WHEN v_was_deleted THEN 'file.restored' ELSE 'file.updated' END,
        roost.file_path(v_file.id)
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.add_file_version(uuid, roost.file_contents, text, timestamptz, jsonb)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.add_file_version(
    uuid, roost.file_contents, text, timestamptz, jsonb
) TO roost_api;

COMMENT ON FUNCTION roost.add_file_version(uuid, roost.file_contents, text, timestamptz, jsonb) IS
'Puts something else into a file, which brings it back where it was deleted, tells the workspace,
and answers it. To be called under roost.lock_workspace.';

CREATE OR REPLACE FUNCTION roost.add_file(
    p_workspace_id uuid,
    p_parent_id uuid,
    p_path text,
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
    v_id uuid := roost.uuid_v7();
    v_is_file boolean := p_content.id IS NOT NULL;
BEGIN
    INSERT INTO roost.file_sync_state (
        id, workspace_id, parent_id, name, kind, content_id, hash, size, media_type, modified_at,
        metadata, created_by, updated_by
    )
    VALUES (
        v_id,
        p_workspace_id,
        p_parent_id,
        regexp_replace(p_path, '^.*/', ''),
        CASE WHEN v_is_file THEN 'file'::roost.file_kind ELSE 'folder' END,
        p_content.id,
        p_content.hash,
        p_content.size,
        p_media_type,
        p_modified_at,
        coalesce(p_metadata, '{}'),
        roost.current_user_id(),
        roost.current_user_id()
    );

    IF v_is_file THEN
        INSERT INTO roost.file_versions (
            file_id, version, workspace_id, content_id, hash, size, media_type, modified_at,
            created_by, device_id
        )
        VALUES (
            v_id, 1, p_workspace_id, p_content.id, p_content.hash, p_content.size, p_media_type,
            p_modified_at, roost.current_user_id(), roost.current_device_id()
        );
    END IF;

    RETURN roost.publish_file(v_id, 'file.created', p_path);
END;
$$;

REVOKE ALL ON FUNCTION roost.add_file(
    uuid, uuid, text, roost.file_contents, text, timestamptz, jsonb
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.add_file(
    uuid, uuid, text, roost.file_contents, text, timestamptz, jsonb
) TO roost_api;

COMMENT ON FUNCTION roost.add_file(uuid, uuid, text, roost.file_contents, text, timestamptz, jsonb)
IS
'Makes a file with its first version, or without a content a folder, tells the workspace, and
answers it. To be called under roost.lock_workspace, for a path that is free.';

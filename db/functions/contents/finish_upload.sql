CREATE OR REPLACE FUNCTION roost.finish_upload(p_upload_id uuid, p_hash bytea)
RETURNS roost.uploads
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_upload roost.uploads := roost.find_upload(p_upload_id);
    v_content record;
BEGIN
    -- It becomes something as a part of another.
    IF v_upload.kind = 'partial' THEN
        RETURN v_upload;
    END IF;

    -- In this order: the workspace, its topic, the upload, the storage.
    PERFORM roost.lock_workspace(v_upload.workspace_id, 'editor');

    PERFORM FROM realtime.topics AS topic
    WHERE topic.topic = format('workspace:%s', v_upload.workspace_id)
    FOR NO KEY UPDATE;

    PERFORM FROM roost.uploads AS upload
    WHERE upload.id = p_upload_id
    FOR NO KEY UPDATE;

    v_upload := roost.find_upload(p_upload_id);

    -- Two may have seen it complete.
    IF v_upload.outcome IS NOT NULL THEN
        RETURN v_upload;
    END IF;

    IF v_upload.received IS DISTINCT FROM v_upload.length OR v_upload.tail <> '' THEN
        PERFORM roost.refuse_offset(p_upload_id, v_upload.length);
    END IF;

    -- What it has reserved is given back before the content takes it.
    UPDATE roost.uploads AS upload
    SET reserved = 0
    WHERE upload.id = p_upload_id;

    SELECT inserted.content_id, inserted.is_new
    INTO v_content
    FROM roost.insert_content(
        v_upload.workspace_id, v_upload.owner_id, p_hash, v_upload.length
    ) AS inserted;

    IF v_content.is_new THEN
        INSERT INTO roost.content_chunks (content_id, from_byte, size, workspace_id, chunk_hash)
        SELECT
            v_content.content_id,
            piece.from_byte,
            piece.size,
            v_upload.workspace_id,
            piece.chunk_hash
        FROM roost.upload_chunks AS piece
        WHERE piece.upload_id = p_upload_id;
    END IF;

    DELETE FROM roost.upload_chunks AS piece
    WHERE piece.upload_id = p_upload_id;

    UPDATE roost.uploads AS upload
    SET outcome = to_jsonb(
        roost.put_file(
            v_upload.workspace_id,
            v_upload.path,
            v_content.content_id,
            v_upload.base_version,
            v_upload.modified_at,
            v_upload.media_type,
            NULL,
            v_upload.conflict_policy,
            v_upload.file_id
        )
    )
    WHERE upload.id = p_upload_id
    RETURNING upload.* INTO v_upload;

    RETURN v_upload;
END;
$$;

REVOKE ALL ON FUNCTION roost.finish_upload(uuid, bytea) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.finish_upload(uuid, bytea) TO roost_user;

COMMENT ON FUNCTION roost.finish_upload(uuid, bytea) IS
'Makes a complete upload of the caller''s the content of a file, in one transaction. p_hash is the
SHA-256 of all its bytes. Once it is done, again answers the same. Errors: RO101, RO201, RO202,
RO703 (it is not complete), and those of roost.put_file.';

CREATE OR REPLACE FUNCTION roost.create_upload(
    p_kind roost.upload_kind,
    p_length bigint,
    p_header text,
    p_about jsonb,
    p_parts uuid[]
)
RETURNS roost.uploads
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_lives CONSTANT interval := '24 hours'::interval;
    v_upload roost.uploads;
    v_workspace_id uuid := (p_about ->> 'workspace_id')::uuid;
    v_user_id uuid := roost.require_user();
    v_owner_id uuid := v_user_id;
    v_length bigint := p_length;
    v_path text := coalesce(p_about ->> 'path', p_about ->> 'filename');
    v_parts text[];
    v_there uuid;
BEGIN
    IF v_workspace_id IS NOT NULL OR p_kind <> 'partial' THEN
        v_owner_id := roost.require_writable(v_workspace_id);
    END IF;

    -- Before any byte is sent. At the end it is looked at again: meanwhile others move things.
    IF v_path IS NOT NULL AND p_kind <> 'partial' THEN
        v_parts := roost.split_file_path(v_path);
        v_path := array_to_string(v_parts, '/');

        SELECT file.id
        INTO v_there
        FROM roost.look_up_file(v_workspace_id, v_parts) AS known
        JOIN roost.file_sync_state AS file ON file.id = known.o_file_id
        WHERE file.kind = 'folder';

        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'A folder is at this path.',
                DETAIL = format('path: %s; File: %s', left(v_path, 200), v_there),
                HINT = 'Send another path, or move the folder first.';
        END IF;
    END IF;

    IF p_kind = 'final' THEN
        v_length := roost.hold_parts(p_parts);
    END IF;

    PERFORM roost.require_file_size(v_owner_id, v_length);

    INSERT INTO roost.uploads (
        kind, user_id, device_id, workspace_id, owner_id, path, base_version, file_id,
        media_type, modified_at, conflict_policy, header, concat, length, received, reserved,
        expires_at
    )
    VALUES (
        p_kind,
        v_user_id,
        roost.current_device_id(),
        v_workspace_id,
        v_owner_id,
        v_path,
        (p_about ->> 'base_version')::bigint,
        (p_about ->> 'file_id')::uuid,
        coalesce(p_about ->> 'media_type', p_about ->> 'filetype'),
        (p_about ->> 'modified_at')::timestamptz,
        p_about ->> 'conflict_policy',
        p_header,
        p_about ->> 'concat',
        v_length,
        CASE p_kind WHEN 'final' THEN v_length ELSE 0 END,
        coalesce(v_length, 0),
        now() + c_lives
    )
    RETURNING uploads.* INTO v_upload;

    IF p_kind = 'final' THEN
        INSERT INTO roost.upload_chunks (upload_id, from_byte, size, chunk_hash)
        SELECT
            v_upload.id,
            sum(piece.size) OVER (ORDER BY part.place, piece.from_byte) - piece.size,
            piece.size,
            piece.chunk_hash
        FROM unnest(p_parts) WITH ORDINALITY AS part (id, place)
        JOIN roost.upload_chunks AS piece ON piece.upload_id = part.id;
    END IF;

    RETURN v_upload;
END;
$$;

REVOKE ALL ON FUNCTION roost.create_upload(roost.upload_kind, bigint, text, jsonb, uuid[])
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.create_upload(roost.upload_kind, bigint, text, jsonb, uuid[])
TO roost_user;

COMMENT ON FUNCTION roost.create_upload(roost.upload_kind, bigint, text, jsonb, uuid[]) IS
'Announces an upload of the caller''s, and reserves room for it. p_length is empty where it is not
known yet; p_about has workspace_id, path and the rest of the metadata; p_parts are the uploads
that a final one is made of, in their order. Errors: RO101, RO201, RO202, RO301 (a folder is there),
RO302 (the path, or a part that is none), RO701, RO702.';

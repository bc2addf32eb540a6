CREATE OR REPLACE FUNCTION roost.find_upload(p_upload_id uuid)
RETURNS roost.uploads
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_upload roost.uploads;
BEGIN
    PERFORM roost.require_user();

    SELECT upload.*
    INTO v_upload
    FROM roost.uploads AS upload
    WHERE upload.id = p_upload_id
        AND upload.user_id = roost.current_user_id()
        AND upload.expires_at > now();

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such upload.',
            DETAIL = format('Upload: %s', coalesce(p_upload_id::text, 'null')),
            HINT = 'Begin again: it was ended, has expired, or is not yours.';
    END IF;

    IF v_upload.workspace_id IS NOT NULL THEN
        PERFORM roost.require_workspace(v_upload.workspace_id, 'editor');
    END IF;

    RETURN v_upload;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_upload(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_upload(uuid) TO roost_user;

COMMENT ON FUNCTION roost.find_upload(uuid) IS
'An upload of the caller''s. Errors: RO101, RO201 (not there, or of somebody else), RO202.';

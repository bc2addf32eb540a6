CREATE OR REPLACE FUNCTION roost.set_upload_length(p_upload_id uuid, p_length bigint)
RETURNS roost.uploads
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_upload roost.uploads := roost.find_upload(p_upload_id);
BEGIN
    PERFORM roost.require_file_size(v_upload.owner_id, p_length);

    UPDATE roost.uploads AS upload
    SET length = p_length, reserved = p_length
    WHERE upload.id = p_upload_id AND upload.length IS NULL
    RETURNING upload.* INTO v_upload;

    IF NOT FOUND THEN
        v_upload := roost.find_upload(p_upload_id);

        IF v_upload.length <> p_length THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO302',
                MESSAGE = 'The length of the upload is known already.',
                DETAIL = format('Known: %s; sent: %s', v_upload.length, p_length),
                HINT = 'Leave Upload-Length out, or begin again.';
        END IF;
    END IF;

    RETURN v_upload;
END;
$$;

REVOKE ALL ON FUNCTION roost.set_upload_length(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.set_upload_length(uuid, bigint) TO roost_user;

COMMENT ON FUNCTION roost.set_upload_length(uuid, bigint) IS
'Says how long an upload is that was announced without. Errors: RO101, RO201, RO202, RO302
(another length is known), RO701, RO702, and 23514 where more has arrived.';

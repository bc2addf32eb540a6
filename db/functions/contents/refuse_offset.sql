CREATE OR REPLACE FUNCTION roost.refuse_offset(p_upload_id uuid, p_from_byte bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_upload roost.uploads := roost.find_upload(p_upload_id);
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RO703',
        MESSAGE = 'The upload does not go on there.',
        DETAIL = format('Upload-Offset: %s; sent: %s', v_upload.received, p_from_byte),
        HINT = 'Ask for the offset with HEAD, and go on there.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_offset(uuid, bigint) FROM PUBLIC;

COMMENT ON FUNCTION roost.refuse_offset(uuid, bigint) IS
'Raises RO703, or RO201 when the upload has gone.';

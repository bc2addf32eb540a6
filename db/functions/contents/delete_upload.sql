CREATE OR REPLACE FUNCTION roost.delete_upload(p_upload_id uuid)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.find_upload(p_upload_id);

    DELETE FROM roost.uploads AS upload
    WHERE upload.id = p_upload_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.delete_upload(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.delete_upload(uuid) TO roost_user;

COMMENT ON FUNCTION roost.delete_upload(uuid) IS
'Ends an upload of the caller''s; what had arrived goes. A file that it has become stays. Errors:
RO101, RO201, RO202.';

CREATE OR REPLACE FUNCTION roost.require_file_version(p_file_id uuid, p_version bigint)
RETURNS roost.file_versions
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_version roost.file_versions;
BEGIN
    SELECT old.*
    INTO v_version
    FROM roost.file_versions AS old
    WHERE old.file_id = p_file_id AND old.version = p_version;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'The file has no such version, or not any more.',
            DETAIL = format('version: %s', coalesce(p_version::text, 'null')),
            HINT = 'Send a version from list_file_versions.';
    END IF;

    RETURN v_version;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_file_version(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_file_version(uuid, bigint) TO roost_api;

COMMENT ON FUNCTION roost.require_file_version(uuid, bigint) IS
'A version of a file that the caller may read. Raises RO201 where there is none.';

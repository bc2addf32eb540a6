CREATE OR REPLACE FUNCTION roost.open_download(p_file_id uuid, p_version bigint)
RETURNS TABLE (
    content_id uuid,
    workspace_id uuid,
    name text,
    hash bytea,
    size bigint,
    media_type text,
    version bigint,
    changed_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_user();

    RETURN QUERY
    SELECT
        kept.content_id,
        file.workspace_id,
        file.name,
        kept.hash,
        kept.size,
        kept.media_type,
        kept.version,
        kept.created_at
    FROM roost.file_sync_state AS file
    JOIN roost.file_versions AS kept
        ON kept.file_id = file.id AND kept.version = coalesce(p_version, file.version)
    WHERE file.id = p_file_id
        AND (p_version IS NOT NULL OR roost.file_path(file.id) IS NOT NULL)
        AND roost.own_workspace_role(file.workspace_id) IS NOT NULL;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such file, or you may not read it.',
            DETAIL = format(
                'File: %s; version: %s', coalesce(p_file_id::text, 'null'),
                coalesce(p_version::text, 'the newest')
            ),
            HINT = 'Send the id of a file from list_files, and a version from list_file_versions.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.open_download(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.open_download(uuid, bigint) TO roost_user;

COMMENT ON FUNCTION roost.open_download(uuid, bigint) IS
'What a download of a file needs to know of it. p_version is empty for the newest one. Errors:
RO101, RO201 (no such file or version, or not the caller''s to read).';

CREATE OR REPLACE FUNCTION roost.merge_file(
    p_file roost.file_sync_state,
    p_base_version bigint,
    p_content_id uuid
)
RETURNS roost.text_merge
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 1048576;
    v_base text;
    v_mine text;
    v_theirs text;
BEGIN
    SELECT roost.read_content_text(old.content_id, c_most_bytes)
    INTO v_base
    FROM roost.file_versions AS old
    WHERE old.file_id = p_file.id AND old.version = p_base_version;

    IF v_base IS NOT NULL THEN
        v_mine := roost.read_content_text(p_content_id, c_most_bytes);
        v_theirs := roost.read_content_text(p_file.content_id, c_most_bytes);
    END IF;

    IF v_mine IS NULL OR v_theirs IS NULL THEN
        RETURN NULL;
    END IF;

    RETURN roost.merge_text(v_base, v_mine, v_theirs);
END;
$$;

REVOKE ALL ON FUNCTION roost.merge_file(roost.file_sync_state, bigint, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.merge_file(roost.file_sync_state, bigint, uuid) TO roost_api;

COMMENT ON FUNCTION roost.merge_file(roost.file_sync_state, bigint, uuid) IS
'Merges a content with what a file has now, on the version that both are based on; NULL where one
of the three is no text, or has more than 1 MiB.';

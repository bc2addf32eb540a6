CREATE OR REPLACE FUNCTION roost.find_put_content(p_workspace_id uuid, p_hash text, p_size bigint)
RETURNS roost.file_contents
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_content roost.file_contents;
BEGIN
    IF p_hash ~ '^[0-9a-fA-F]{64}$' THEN
        v_content := roost.find_content(p_workspace_id, decode(p_hash, 'hex'));
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This is no SHA-256.',
            DETAIL = format('hash: %s', left(p_hash, 200)),
            HINT = 'Send the SHA-256 of the content in base16, 64 digits.';
    END IF;

    IF v_content.id IS NULL OR p_size <> v_content.size THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO311',
            MESSAGE = 'The workspace does not have this content.',
            DETAIL = format('hash: %s; size: %s', p_hash, coalesce(v_content.size, p_size)),
            HINT = 'Upload the content first, and send its own hash and size.';
    END IF;

    RETURN v_content;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_put_content(uuid, text, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_put_content(uuid, text, bigint) TO roost_api;

COMMENT ON FUNCTION roost.find_put_content(uuid, text, bigint) IS
'The content of a workspace with this hash. Raises RO302 where that is none, RO311 where the
workspace does not have it, or it has another size. The caller has asked roost.require_workspace.';

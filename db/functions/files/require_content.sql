-- Runs as the owner: nobody reads contents but by the files that they are in.
CREATE OR REPLACE FUNCTION roost.require_content(p_workspace_id uuid, p_content_id uuid)
RETURNS roost.file_contents
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_content roost.file_contents;
BEGIN
    SELECT content.*
    INTO v_content
    FROM roost.file_contents AS content
    WHERE content.id = p_content_id AND content.workspace_id = p_workspace_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO311',
            MESSAGE = 'The workspace does not have this content.',
            DETAIL = format('Content: %s', coalesce(p_content_id::text, 'null')),
            HINT = 'Upload the content first.';
    END IF;

    RETURN v_content;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_content(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_content(uuid, uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_content(uuid, uuid) IS
'A content of a workspace by its id. Raises RO311 where there is none. The caller has asked
roost.require_workspace.';

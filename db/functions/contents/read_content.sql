CREATE OR REPLACE FUNCTION roost.read_content(
    p_content_id uuid,
    p_from_byte bigint,
    p_to_byte bigint,
    p_progress jsonb
)
RETURNS bytea
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace_id uuid;
BEGIN
    SELECT content.workspace_id
    INTO v_workspace_id
    FROM roost.file_contents AS content
    WHERE content.id = p_content_id;

    -- With every piece: who loses the right to read loses the rest.
    PERFORM roost.require_workspace(v_workspace_id, 'viewer');

    IF p_progress IS NOT NULL THEN
        PERFORM realtime.broadcast(
            format('workspace:%s', v_workspace_id),
            'download.progress',
            (
                p_progress || jsonb_build_object(
                    'user_id', roost.current_user_id(), 'device_id', roost.current_device_id()
                )
            )::json
        );
    END IF;

    RETURN (
        SELECT string_agg(
            substring(
                chunk.content
                FROM greatest(p_from_byte - piece.from_byte, 0)::integer + 1
                FOR (
                    least(p_to_byte - piece.from_byte, piece.size)
                    - greatest(p_from_byte - piece.from_byte, 0)
                )::integer
            ),
            '' ORDER BY piece.from_byte
        )
        FROM roost.content_chunks AS piece
        JOIN roost.file_chunks AS chunk ON chunk.hash = piece.chunk_hash
        WHERE piece.content_id = p_content_id
            AND piece.from_byte >= (
                SELECT max(first.from_byte)
                FROM roost.content_chunks AS first
                WHERE first.content_id = p_content_id AND first.from_byte <= p_from_byte
            )
            AND piece.from_byte < p_to_byte
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.read_content(uuid, bigint, bigint, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_content(uuid, bigint, bigint, jsonb) TO roost_user;

COMMENT ON FUNCTION roost.read_content(uuid, bigint, bigint, jsonb) IS
'The bytes of a content from p_from_byte to before p_to_byte. p_progress, where there is one, is
broadcast as download.progress. Errors: RO101, RO201 (not the caller''s to read).';

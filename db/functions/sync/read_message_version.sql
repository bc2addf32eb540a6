-- What a version said is what it was before the next one. Runs as the owner, for whom alone that
-- is; the author alone is answered, to whom it was no secret.
CREATE OR REPLACE FUNCTION roost.read_message_version(p_message_id uuid, p_version bigint)
RETURNS jsonb
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN message.version = p_version AND message.deleted_at IS NULL
            THEN jsonb_build_object('content', message.content, 'metadata', message.metadata)
        ELSE (
            SELECT change.before
            FROM roost.message_changes AS change
            WHERE change.message_id = message.id AND change.version = p_version + 1
            ORDER BY change.seq DESC
            LIMIT 1
        )
    END
    FROM roost.messages AS message
    WHERE message.id = p_message_id AND message.user_id = roost.current_user_id();
$$;

REVOKE ALL ON FUNCTION roost.read_message_version(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_message_version(uuid, bigint) TO roost_api;

COMMENT ON FUNCTION roost.read_message_version(uuid, bigint) IS
'{"content", "metadata"} of a version of a message of the caller''s; NULL where it is not known, as
of a deleted or purged one.';

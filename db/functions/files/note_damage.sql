-- Runs as the owner: viewers find damage as well, and may write nothing. The row of the content is
-- what two checks of it wait for: each takes out what it has read, and adds what it has found. The
-- status is written behind the lock on the workspace, from what the content's row says then, so the
-- one that comes last leaves behind what both have found, and no event is told twice.
CREATE OR REPLACE FUNCTION roost.note_damage(
    p_file_id uuid,
    p_content_id uuid,
    p_read int8range,
    p_damaged int8multirange
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace_id uuid;
    v_file roost.file_sync_state;
    v_is_damaged boolean;
BEGIN
    -- Most of what is read is sound, and was: that writes nothing and waits for nobody.
    SELECT content.workspace_id
    INTO v_workspace_id
    FROM roost.file_contents AS content
    JOIN roost.file_sync_state AS file
        ON file.id = p_file_id AND file.content_id = content.id AND file.deleted_at IS NULL
    WHERE content.id = p_content_id
        AND (
            content.damaged <> (content.damaged - int8multirange(p_read)) + p_damaged
            OR (file.sync_status = 'error') = isempty(content.damaged)
        );

    IF NOT FOUND THEN
        UPDATE roost.file_contents AS content
        SET damaged = (content.damaged - int8multirange(p_read)) + p_damaged
        WHERE content.id = p_content_id
            AND content.damaged <> (content.damaged - int8multirange(p_read)) + p_damaged;

        RETURN;
    END IF;

    PERFORM roost.lock_workspace(v_workspace_id, 'viewer');

    UPDATE roost.file_contents AS content
    SET damaged = (content.damaged - int8multirange(p_read)) + p_damaged
    WHERE content.id = p_content_id
    RETURNING NOT isempty(content.damaged) INTO v_is_damaged;

    -- A new version may have come since.
    UPDATE roost.file_sync_state AS file
    SET sync_status = CASE
        WHEN v_is_damaged THEN 'error'::roost.file_sync_status
        WHEN roost.has_open_conflict(file.id) THEN 'conflict'
        ELSE 'synced'
    END
    WHERE file.id = p_file_id
        AND file.content_id = p_content_id
        AND file.deleted_at IS NULL
        AND (file.sync_status = 'error') <> v_is_damaged
    RETURNING file.* INTO v_file;

    IF FOUND THEN
        PERFORM roost.publish_file(v_file.id, 'file.updated', roost.file_path(v_file.id));
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.note_damage(uuid, uuid, int8range, int8multirange) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.note_damage(uuid, uuid, int8range, int8multirange) TO roost_api;

COMMENT ON FUNCTION roost.note_damage(uuid, uuid, int8range, int8multirange) IS
'Writes which bytes of a content a check has found damaged among those that it has read, and the
sync status of the file whose newest version it is, and tells the workspace where that changes.
Whoever calls has looked at the caller''s right to the file.';

-- Of one workspace at a time, under its lock, so that nobody puts a content into a file that is
-- just found to be in none. Waits for nobody: a workspace that is in use comes later.
CREATE OR REPLACE FUNCTION roost.expire_files(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- However much of a table is due: what is read is little.
SET enable_seqscan = off
AS $$
DECLARE
    c_kept CONSTANT interval := '30 days'::interval;
    -- For so long devices are told what went with a folder.
    c_told CONSTANT interval := '7 days'::interval;
    v_workspace_id uuid;
    v_ids uuid[];
    v_seqs bigint[];
    v_rows bigint;
BEGIN
    SELECT workspace.id
    INTO v_workspace_id
    FROM roost.workspaces AS workspace
    WHERE workspace.id = ANY (
        ARRAY(
            SELECT old.workspace_id
            FROM roost.file_versions AS old
            WHERE old.expires_at < now()
            ORDER BY old.expires_at
            LIMIT p_limit
        ) || ARRAY(
            SELECT file.workspace_id
            FROM roost.file_sync_state AS file
            WHERE file.deleted_at < now() - c_kept - c_told
            ORDER BY file.deleted_at
            LIMIT p_limit
        ) || ARRAY(
            SELECT folder.workspace_id
            FROM roost.file_sync_state AS folder
            WHERE folder.deleted_at < now() - c_kept
                AND folder.kind = 'folder'
                AND EXISTS (
                    SELECT FROM roost.file_sync_state AS inner_file
                    WHERE inner_file.parent_id = folder.id AND inner_file.deleted_at IS NULL
                )
            ORDER BY folder.deleted_at
            LIMIT p_limit
        )
    )
    ORDER BY workspace.id
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED;

    IF NOT FOUND THEN
        RETURN 0;
    END IF;

    DELETE FROM roost.file_versions AS version
    WHERE version.ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM (
            SELECT listed.ctid, listed.workspace_id
            FROM roost.file_versions AS listed
            WHERE listed.expires_at < now()
            ORDER BY listed.expires_at
            LIMIT p_limit
        ) AS old
        WHERE old.workspace_id = v_workspace_id
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;

    -- From the top down, what is in a folder is deleted when that was: so that devices drop it too.
    v_ids := ARRAY(
        SELECT inner_file.id
        FROM roost.file_sync_state AS folder
        JOIN roost.file_sync_state AS inner_file
            ON inner_file.parent_id = folder.id AND inner_file.deleted_at IS NULL
        WHERE folder.deleted_at < now() - c_kept
            AND folder.kind = 'folder'
            AND folder.workspace_id = v_workspace_id
        LIMIT p_limit
    );

    UPDATE roost.file_sync_state AS file
    SET deleted_at = folder.deleted_at,
        sync_status = 'deleted'
    FROM roost.file_sync_state AS folder
    WHERE file.id = ANY (v_ids) AND folder.id = file.parent_id;

    PERFORM roost.publish_file(listed.id, 'file.deleted', NULL)
    FROM unnest(v_ids) AS listed (id);

    -- From the bottom up.
    WITH went AS (
        DELETE FROM roost.file_sync_state AS file
        WHERE file.id = ANY (ARRAY(
            SELECT old.id
            FROM roost.file_sync_state AS old
            WHERE old.deleted_at < now() - c_kept - c_told
                AND old.workspace_id = v_workspace_id
                AND NOT old.id = ANY (v_ids)
                AND NOT EXISTS (
                    SELECT FROM roost.file_sync_state AS inner_file
                    WHERE inner_file.parent_id = old.id
                )
            ORDER BY old.deleted_at
            LIMIT p_limit
        ))
        RETURNING file.change_seq
    )

    SELECT array_agg(went.change_seq)
    INTO v_seqs
    FROM went;

    -- Nothing is left that could say when they went: a device that was away since before reads all
    -- of the workspace anew.
    UPDATE realtime.topics AS topic
    SET removed_offset = greatest(
        topic.removed_offset, (SELECT max(listed.seq) FROM unnest(v_seqs) AS listed (seq))
    )
    WHERE topic.topic = format('workspace:%s', v_workspace_id) AND v_seqs IS NOT NULL;

    RETURN v_rows + cardinality(v_ids) + coalesce(cardinality(v_seqs), 0);
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_files(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_files(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_files(integer) IS
'Forgets files that were deleted more than 30 days ago, with what was in folders, and versions
that are older than that and behind the newest 100; of one workspace, up to p_limit of each. What
was in a folder is told to be deleted when that can''t be restored any more, and goes a week
later. Answers 0 when nothing more is to be done now, else more: call it again, in a transaction
of its own. Two servers may do so at once.';

-- Nobody is in these any more: nothing is told. One that another server works on is passed over.
CREATE OR REPLACE FUNCTION roost.purge_workspaces(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Of what is in the files: chunks go with them.
    c_most_bytes CONSTANT bigint := 268435456;
    v_workspace_id uuid;
    v_rows bigint;
BEGIN
    SELECT workspace.id
    INTO v_workspace_id
    FROM roost.workspaces AS workspace
    WHERE workspace.deleted_at IS NOT NULL
    ORDER BY workspace.deleted_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED;

    IF NOT FOUND THEN
        RETURN 0;
    END IF;

    -- Those in which nothing is, which every folder comes to be.
    DELETE FROM roost.file_sync_state AS file
    WHERE file.id = ANY (ARRAY(
        SELECT leaf.id
        FROM (
            SELECT
                listed.id,
                sum(listed.size) OVER (
                    ORDER BY listed.change_seq DESC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT candidate.id, candidate.size, candidate.change_seq
                FROM roost.file_sync_state AS candidate
                WHERE candidate.workspace_id = v_workspace_id
                    AND NOT EXISTS (
                        SELECT FROM roost.file_sync_state AS inner_file
                        WHERE inner_file.parent_id = candidate.id
                    )
                ORDER BY candidate.change_seq DESC
                LIMIT p_limit
            ) AS listed
        ) AS leaf
        WHERE coalesce(leaf.bytes_before, 0) < c_most_bytes
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;

    IF v_rows > 0 THEN
        RETURN v_rows;
    END IF;

    DELETE FROM roost.file_contents AS content
    WHERE content.id = ANY (ARRAY(
        SELECT listed.id
        FROM roost.file_contents AS listed
        WHERE listed.workspace_id = v_workspace_id
        LIMIT p_limit
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;

    IF v_rows = 0 THEN
        DELETE FROM roost.workspaces AS workspace
        WHERE workspace.id = v_workspace_id;
    END IF;

    RETURN greatest(v_rows, 1);
END;
$$;

REVOKE ALL ON FUNCTION roost.purge_workspaces(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.purge_workspaces(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.purge_workspaces(integer) IS
'Takes away what deleted workspaces had, one after another, up to p_limit files and 256 MiB at
once, and at last the workspace. Answers 0 when nothing more is to be done now, else more: call
it again, in a transaction of its own. Two servers may do so at once.';

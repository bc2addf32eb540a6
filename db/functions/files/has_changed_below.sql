-- From what has changed upwards: that is little, however much there is below.
CREATE OR REPLACE FUNCTION roost.has_changed_below(p_folder roost.file_sync_state, p_after bigint)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_changed roost.file_sync_state;
BEGIN
    FOR v_changed IN
        SELECT file.*
        FROM roost.file_sync_state AS file
        WHERE file.workspace_id = p_folder.workspace_id
            AND file.change_seq > p_after
            AND file.deleted_at IS NULL
        ORDER BY file.change_seq
    LOOP
        WHILE v_changed.parent_id IS NOT NULL LOOP
            IF v_changed.parent_id = p_folder.id THEN
                RETURN true;
            END IF;

            SELECT file.*
            INTO STRICT v_changed
            FROM roost.file_sync_state AS file
            WHERE file.id = v_changed.parent_id;

            EXIT WHEN v_changed.deleted_at IS NOT NULL;
        END LOOP;
    END LOOP;

    RETURN false;
END;
$$;

REVOKE ALL ON FUNCTION roost.has_changed_below(roost.file_sync_state, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.has_changed_below(roost.file_sync_state, bigint) TO roost_api;

COMMENT ON FUNCTION roost.has_changed_below(roost.file_sync_state, bigint) IS
'Whether anything that is there in a folder has changed behind an offset of workspace:<id>.';

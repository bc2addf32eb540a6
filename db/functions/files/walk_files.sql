-- One folder after another, in the order of an index: a page costs what is on it, however much
-- there is in the workspace.
CREATE OR REPLACE FUNCTION roost.walk_files(
    p_workspace_id uuid,
    p_from text[],
    p_through text[],
    p_prefix text,
    p_limit bigint
)
RETURNS SETOF roost.walked_file
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- One for each folder that the walk is in: its id, and from which name on.
    v_ids uuid[] := ARRAY[p_workspace_id];
    v_lowest text[] := ARRAY[coalesce(p_from[1], '')];
    v_top integer := 1;
    v_parts text[] := '{}'::text[];
    v_left bigint := p_limit;
    v_id uuid;
    v_file roost.file_sync_state;
    v_walked roost.walked_file;
    v_is_deeper boolean;
BEGIN
    FOR v_place IN 2..cardinality(p_from) LOOP
        SELECT folder.id
        INTO v_id
        FROM roost.file_sync_state AS folder
        WHERE folder.workspace_id = p_workspace_id
            AND folder.container_id = v_ids[v_top]
            AND folder.name = p_from[v_place - 1]
            AND folder.deleted_at IS NULL;

        -- Names have no control characters, so nothing comes between a name and this.
        v_lowest[v_top] := p_from[v_place - 1] || E'\u0001';
        EXIT WHEN NOT FOUND;
        v_top := v_top + 1;
        v_ids[v_top] := v_id;
        v_lowest[v_top] := p_from[v_place];
        v_parts := v_parts || p_from[v_place - 1];
    END LOOP;

    WHILE v_top > 0 AND v_left > 0 LOOP
        v_is_deeper := false;

        FOR v_file IN
            SELECT file.*
            FROM roost.file_sync_state AS file
            WHERE file.workspace_id = p_workspace_id
                AND file.container_id = v_ids[v_top]
                AND file.name >= v_lowest[v_top]
                AND file.deleted_at IS NULL
            ORDER BY file.name
            LIMIT v_left
        LOOP
            v_walked.parts := v_parts[1 : v_top - 1] || v_file.name::text;
            v_walked.path := array_to_string(v_walked.parts, '/');
            v_walked.file := v_file;

            IF v_walked.parts COLLATE "C" > p_through
                OR NOT starts_with(v_walked.path, p_prefix)
            THEN
                RETURN;
            END IF;

            RETURN NEXT v_walked;

            v_left := v_left - 1;

            IF v_file.kind = 'folder' THEN
                v_lowest[v_top] := v_file.name || E'\u0001';
                v_parts := v_walked.parts;
                v_top := v_top + 1;
                v_ids[v_top] := v_file.id;
                v_lowest[v_top] := '';
                v_is_deeper := true;
                EXIT;
            END IF;
        END LOOP;

        IF NOT v_is_deeper THEN
            v_top := v_top - 1;
            v_parts := v_parts[1 : v_top - 1];
        END IF;
    END LOOP;
END;
$$;

REVOKE ALL ON FUNCTION roost.walk_files(uuid, text[], text[], text, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.walk_files(uuid, text[], text[], text, bigint) TO roost_api;

COMMENT ON FUNCTION roost.walk_files(uuid, text[], text[], text, bigint) IS
'What is in a workspace, folders before what is in them and names by their bytes, from a path on
(inclusive; with an empty name at its end, from behind that path), up to p_through, as long as
paths begin with p_prefix, at most p_limit. Without p_through or p_prefix that does not end it.';

-- Down from the top, one name after another.
CREATE OR REPLACE FUNCTION roost.look_up_file(
    p_workspace_id uuid,
    p_parts text[],
    OUT o_file_id uuid,
    OUT o_clash text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_container_id uuid := p_workspace_id;
    v_file roost.file_sync_state;
BEGIN
    FOR v_place IN 1..coalesce(cardinality(p_parts), 0) LOOP
        SELECT file.*
        INTO v_file
        FROM roost.file_sync_state AS file
        WHERE file.workspace_id = p_workspace_id
            AND file.container_id = v_container_id
            AND file.name_key = roost.fold_name(p_parts[v_place])
            AND file.deleted_at IS NULL;

        IF NOT FOUND THEN
            RETURN;
        ELSIF v_file.name <> p_parts[v_place] THEN
            o_clash := array_to_string(p_parts[1 : v_place - 1] || v_file.name::text, '/');

            RETURN;
        END IF;

        v_container_id := v_file.id;
    END LOOP;

    o_file_id := v_file.id;
END;
$$;

REVOKE ALL ON FUNCTION roost.look_up_file(uuid, text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.look_up_file(uuid, text[]) TO roost_api;

COMMENT ON FUNCTION roost.look_up_file(uuid, text[]) IS
'The id of what is at a path, NULL where nothing is; o_clash is the path of what differs from it
in capitals alone.';

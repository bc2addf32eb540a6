CREATE OR REPLACE FUNCTION roost.require_free_path(
    p_workspace_id uuid,
    p_parts text[],
    p_except_id uuid
)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_found_id uuid;
    v_clash text;
BEGIN
    SELECT known.o_file_id, known.o_clash
    INTO v_found_id, v_clash
    FROM roost.look_up_file(p_workspace_id, p_parts) AS known;

    -- A file may be renamed to what differs from its own name in capitals alone.
    IF v_clash <> coalesce(roost.file_path(p_except_id), '') THEN
        PERFORM roost.raise_clash(array_to_string(p_parts, '/'), v_clash);
    END IF;

    IF v_found_id <> coalesce(p_except_id, p_workspace_id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'There is something at this path.',
            DETAIL = format(
                'path: %s; File: %s', left(array_to_string(p_parts, '/'), 200), v_found_id
            ),
            HINT = 'Send another path, or delete or move what is there first.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_free_path(uuid, text[], uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_free_path(uuid, text[], uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_free_path(uuid, text[], uuid) IS
'Raises RO301 where something is at a path, but for p_except_id, and RO310 where something differs
from it in capitals alone.';

-- Through folders alone, by an index of their own, and only where they get deeper or longer. Runs
-- as the owner: row-level security lets no index compare kinds.
CREATE OR REPLACE FUNCTION roost.require_room_below(
    p_folder_id uuid,
    p_from_path text,
    p_to_path text
)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_folders CONSTANT integer := 64;
    c_most_folder_bytes CONSTANT integer := 3840;
    v_from integer := cardinality(string_to_array(p_from_path, '/'));
    v_to integer := cardinality(string_to_array(p_to_path, '/'));
    v_deepest integer;
    v_longest integer;
BEGIN
    IF v_to <= v_from AND octet_length(p_to_path) <= octet_length(p_from_path) THEN
        RETURN;
    END IF;

    WITH RECURSIVE below AS (
        SELECT p_folder_id AS id, v_to AS depth, octet_length(p_to_path) AS bytes
        UNION ALL
        SELECT
            folder.id, below.depth + 1, below.bytes + 1 + octet_length(folder.name)
        FROM below
        JOIN roost.file_sync_state AS folder
            ON folder.parent_id = below.id
            AND folder.kind = 'folder'
            AND folder.deleted_at IS NULL
    )

    SELECT max(below.depth), max(below.bytes)
    INTO v_deepest, v_longest
    FROM below;

    IF v_deepest > c_most_folders OR v_longest > c_most_folder_bytes THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'What is in the folder would be too deep there.',
            DETAIL = format('Folders: %s; bytes: %s', v_deepest, v_longest),
            HINT = 'Move it to where no path is of more than 64 folders and 3840 bytes.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_room_below(uuid, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_room_below(uuid, text, text) TO roost_api;

COMMENT ON FUNCTION roost.require_room_below(uuid, text, text) IS
'Raises RO302 where folders within a folder would get too deep, or their paths too long, by a
move. To be called under roost.lock_workspace.';

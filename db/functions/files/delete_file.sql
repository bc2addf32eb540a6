CREATE OR REPLACE FUNCTION api.delete_file(
    file_id uuid,
    base_version bigint DEFAULT NULL,
    seen_offset bigint DEFAULT NULL
)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file roost.file_sync_state := roost.lock_file(delete_file.file_id, true);
    v_path text := roost.file_path(v_file.id);
BEGIN
    IF v_path IS NULL THEN
        RETURN roost.describe_file(v_file, NULL);
    END IF;

    IF delete_file.base_version <> v_file.version
        OR delete_file.seen_offset < v_file.change_seq
        OR (v_file.kind = 'folder' AND roost.has_changed_below(v_file, delete_file.seen_offset))
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'It was changed since it was seen by whoever deletes it: it is kept.',
            DETAIL = row_to_json(roost.describe_file(v_file, v_path))::text,
            HINT = 'Look at what is there now, and delete that if need be.';
    END IF;

    RETURN roost.mark_file_deleted(v_file.id);
END;
$$;

ALTER FUNCTION api.delete_file(uuid, bigint, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.delete_file(uuid, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.delete_file(uuid, bigint, bigint) TO roost_user;

COMMENT ON FUNCTION api.delete_file(uuid, bigint, bigint) IS
'Deletes a file, or a folder with all that is in it, which is not seen any more either. What was
edited since it was seen by whoever deletes it is kept. restore_file brings it back, for 30 days.
Everybody in the workspace gets file.deleted; deleting again answers the same.

Callers: the owner of the workspace, and editors.
Arguments: file_id. base_version, the version of the file that is to go. seen_offset, up to which
the device has taken in the changes of workspace:<id>: a deletion of something that has changed
since, or of a folder in which something has, is refused. Without either nothing is compared.
Returns: what was deleted, an object as get_file answers it, without a path.
Errors: RO101, RO201 (no such file), RO202 (role too low), RO303 (changed meanwhile).
Example: POST /rpc/delete_file {"file_id": "<id>", "base_version": 3}';

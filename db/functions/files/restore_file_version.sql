CREATE OR REPLACE FUNCTION api.restore_file_version(
    file_id uuid,
    version bigint,
    base_version bigint DEFAULT NULL
)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file roost.file_sync_state := roost.lock_file(restore_file_version.file_id, false);
    v_version roost.file_versions := roost.require_file_version(
        v_file.id, restore_file_version.version
    );
BEGIN
    IF restore_file_version.base_version <> v_file.version THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The file was changed since the version that this is based on.',
            DETAIL = row_to_json(
                roost.describe_file(v_file, roost.file_path(v_file.id))
            )::text,
            HINT = 'Look at the version that details has first.';
    ELSIF v_version.hash = v_file.hash THEN
        RETURN roost.describe_file(v_file, roost.file_path(v_file.id));
    END IF;

    RETURN roost.add_file_version(
        v_file.id,
        roost.require_content(v_file.workspace_id, v_version.content_id),
        v_version.media_type,
        v_version.modified_at,
        NULL
    );
END;
$$;

ALTER FUNCTION api.restore_file_version(uuid, bigint, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.restore_file_version(uuid, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.restore_file_version(uuid, bigint, bigint) TO roost_user;

COMMENT ON FUNCTION api.restore_file_version(uuid, bigint, bigint) IS
'Puts an earlier version into a file again, as a new version. Everybody in the workspace gets
file.updated; where that is in it anyhow nothing is changed.

Callers: the owner of the workspace, and editors.
Arguments: file_id. version, from list_file_versions. base_version, the version that the caller
saw last; without it nothing is compared.
Returns: the file, an object as get_file answers it.
Errors: RO101, RO201 (no such file or version, or deleted), RO202 (role too low), RO303 (changed
meanwhile).
Example: POST /rpc/restore_file_version {"file_id": "<id>", "version": 2}';

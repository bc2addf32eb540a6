CREATE OR REPLACE FUNCTION api.put_file_state(
    workspace_id uuid,
    path text,
    hash text,
    size bigint DEFAULT NULL,
    modified_at timestamptz DEFAULT NULL,
    base_version bigint DEFAULT NULL,
    media_type text DEFAULT NULL,
    metadata jsonb DEFAULT NULL,
    conflict_policy text DEFAULT 'merge',
    file_id uuid DEFAULT NULL
)
RETURNS roost.file_outcome
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_workspace(put_file_state.workspace_id, 'editor');

    RETURN roost.put_file(
        put_file_state.workspace_id,
        put_file_state.path,
        (
            roost.find_put_content(
                put_file_state.workspace_id, put_file_state.hash, put_file_state.size
            )
        ).id,
        put_file_state.base_version,
        put_file_state.modified_at,
        put_file_state.media_type,
        put_file_state.metadata,
        put_file_state.conflict_policy,
        put_file_state.file_id
    );
END;
$$;

ALTER FUNCTION api.put_file_state(
    uuid, text, text, bigint, timestamptz, bigint, text, jsonb, text, uuid
) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.put_file_state(
    uuid, text, text, bigint, timestamptz, bigint, text, jsonb, text, uuid
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.put_file_state(
    uuid, text, text, bigint, timestamptz, bigint, text, jsonb, text, uuid
) TO roost_user;

COMMENT ON FUNCTION api.put_file_state(
    uuid, text, text, bigint, timestamptz, bigint, text, jsonb, text, uuid
) IS
'Puts a content that the workspace has at a path, in a new file or as a new version of the one
that is there. Folders on the way are made. What others have put there since the version that it
is based on is merged with it line by line where all three are text of at most 1 MiB; else what
the caller has made is kept beside it, in a copy named after the device and the time, and a
conflict is opened. Everybody in the workspace gets file.created, file.updated, file.restored or
file.conflict.

Callers: the owner of the workspace, and editors.
Arguments: workspace_id. path, within the workspace, at most 4096 bytes and 64 folders. hash, the
SHA-256 of the content in base16. size, its bytes; compared where it is sent. modified_at, by the
client''s clock, to be shown. base_version, the version that it is based on, 0 for none; without
it nothing is compared. media_type, at most 255 bytes. metadata, an object of at most 64 KiB.
conflict_policy, merge, last_write_wins, client_wins, server_wins or manual. file_id, the file that
base_version is one of: where another is at the path by now, that is not overwritten, whatever its
version.
Returns: an object: outcome, created, updated, unchanged, merged or conflict; file, as get_file
answers it; of a conflict conflict_id, and copy, the file that has what the caller has made.
Errors: RO101, RO201 (not your workspace), RO202 (role too low), RO301 (a folder is there, or a
file is where a folder would have to be), RO302 (path, hash, version or policy), RO303 (changed,
and the policy is server_wins), RO310 (a name there differs in capitals alone), RO311 (upload the
content first), 23514 (a value does not fit).
Example: POST /rpc/put_file_state {"workspace_id": "<id>", "path": "src/main.py", "hash": "<64
digits>", "base_version": 3}';

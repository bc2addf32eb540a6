CREATE OR REPLACE FUNCTION api.list_files(
    workspace_id uuid,
    folder text DEFAULT NULL,
    prefix text DEFAULT NULL,
    changed_since bigint DEFAULT NULL,
    include_deleted boolean DEFAULT false,
    page_size integer DEFAULT 100,
    after text DEFAULT NULL,
    after_id uuid DEFAULT NULL
)
RETURNS SETOF roost.file
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 1000;
    -- Variables: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_after text := coalesce(list_files.after, '');
    v_after_id uuid := coalesce(list_files.after_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_container_id uuid := list_files.workspace_id;
    v_folder roost.file_sync_state;
    v_begins text := '';
    v_has_uploads boolean;
BEGIN
    PERFORM roost.require_workspace(list_files.workspace_id, 'viewer');
    v_has_uploads := roost.has_uploads(list_files.workspace_id);

    IF (list_files.page_size BETWEEN 1 AND c_most) IS NOT TRUE
        OR list_files.include_deleted IS NULL
        OR num_nonnulls(list_files.folder, list_files.prefix, list_files.changed_since) > 1
        OR (list_files.prefix IS NOT NULL AND list_files.include_deleted)
        OR (list_files.changed_since IS NOT NULL AND list_files.after IS NOT NULL)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said which files to list.',
            DETAIL = format('page_size: %s', coalesce(list_files.page_size::text, 'null')),
            HINT = 'Send one of folder, prefix and changed_since, or none; include_deleted without'
                ' prefix; after without changed_since; and a page_size from 1 to 1000.';
    END IF;

    IF list_files.changed_since IS NOT NULL THEN
        RETURN QUERY
        SELECT (
            roost.describe_listed_file(
                file,
                walked.path,
                CASE
                    WHEN v_has_uploads AND file.sync_status = 'synced' AND file.kind = 'file'
                        THEN roost.upload_status(file.workspace_id, walked.path)
                    ELSE file.sync_status
                END
            )
        ).*
        FROM roost.file_sync_state AS file
        CROSS JOIN LATERAL (SELECT roost.file_path(file.id) AS path) AS walked
        WHERE file.workspace_id = list_files.workspace_id
            AND file.change_seq > list_files.changed_since
            AND (
                walked.path IS NOT NULL
                OR (list_files.include_deleted AND file.deleted_at IS NOT NULL)
            )
        ORDER BY file.change_seq
        LIMIT list_files.page_size;

        RETURN;
    ELSIF list_files.prefix IS NOT NULL THEN
        RETURN QUERY
        SELECT (
            roost.describe_listed_file(
                walked.file,
                walked.path,
                CASE
                    WHEN v_has_uploads
                        AND (walked.file).sync_status = 'synced'
                        AND (walked.file).kind = 'file'
                        THEN roost.upload_status(list_files.workspace_id, walked.path)
                    ELSE (walked.file).sync_status
                END
            )
        ).*
        FROM roost.walk_files(
            list_files.workspace_id,
            CASE
                WHEN v_after <> '' THEN string_to_array(v_after, '/') || ''::text
                WHEN list_files.prefix = '' THEN ARRAY['']
                ELSE string_to_array(normalize(list_files.prefix, NFC), '/')
            END,
            NULL,
            normalize(list_files.prefix, NFC),
            list_files.page_size
        ) AS walked;

        RETURN;
    END IF;

    IF coalesce(list_files.folder, '') <> '' THEN
        v_folder := roost.find_file(
            list_files.workspace_id, roost.split_file_path(list_files.folder)
        );

        IF v_folder.kind IS DISTINCT FROM 'folder' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO201',
                MESSAGE = 'There is no such folder.',
                DETAIL = format('folder: %s', left(list_files.folder, 200)),
                HINT = 'Send the path of a folder, or an empty one for the top of the workspace.';
        END IF;

        v_container_id := v_folder.id;
        v_begins := roost.file_path(v_folder.id) || '/';
    END IF;

    RETURN QUERY
    SELECT (
        roost.describe_listed_file(
            listed.file,
            v_begins || (listed.file).name,
            CASE
                WHEN v_has_uploads
                    AND (listed.file).sync_status = 'synced'
                    AND (listed.file).kind = 'file'
                    THEN roost.upload_status(
                        list_files.workspace_id, v_begins || (listed.file).name
                    )
                ELSE (listed.file).sync_status
            END
        )
    ).*
    FROM (
        (
            SELECT file
            FROM roost.file_sync_state AS file
            WHERE file.workspace_id = list_files.workspace_id
                AND file.container_id = v_container_id
                AND file.deleted_at IS NULL
                AND file.name >= v_after
                AND (file.name, file.id) > (v_after, v_after_id)
            ORDER BY file.name
            LIMIT list_files.page_size
        )
        UNION ALL
        (
            SELECT file
            FROM roost.file_sync_state AS file
            WHERE list_files.include_deleted
                AND file.workspace_id = list_files.workspace_id
                AND file.container_id = v_container_id
                AND file.deleted_at IS NOT NULL
                AND file.name >= v_after
                AND (file.name, file.id) > (v_after, v_after_id)
            ORDER BY file.name, file.id
            LIMIT list_files.page_size
        )
    ) AS listed
    ORDER BY (listed.file).name, (listed.file).id
    LIMIT list_files.page_size;
END;
$$;

ALTER FUNCTION api.list_files(uuid, text, text, bigint, boolean, integer, text, uuid)
OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_files(uuid, text, text, bigint, boolean, integer, text, uuid)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_files(uuid, text, text, bigint, boolean, integer, text, uuid)
TO roost_user;

COMMENT ON FUNCTION api.list_files(uuid, text, text, bigint, boolean, integer, text, uuid) IS
'Lists files and folders: of one folder by name, of all below whose path begins with something in
the order of a walk through the workspace, or what has changed behind an offset of
workspace:<id>.

Callers: members of the workspace.
Arguments: workspace_id. folder, its path; without it and the next two the top of the workspace.
prefix, what paths begin with, such as "src/"; an empty one lists all. changed_since, change_seq
of the last row of the page before, 0 for all. include_deleted, of a folder or of what has
changed. page_size, 1 to 1000 rows. after, of a folder name, of a prefix path of the last row of
the page before; with include_deleted also after_id, its id.
Returns: a list of files as get_file answers them; path of what was deleted is where it was in a
folder, else null.
Errors: RO101, RO201 (not your workspace, or no such folder), RO302 (what does not go together,
or the page size), RO310 (a name there differs in capitals alone).
Example: POST /rpc/list_files {"workspace_id": "<id>", "folder": "src"}';

-- A batch answers for a range of paths, and so all of them together for each path once: whatever
-- the workspace has between two paths of a batch, the device lacks. What either side has beyond its
-- share is left to the next call.
CREATE OR REPLACE FUNCTION api.diff_workspace(
    workspace_id uuid,
    manifest jsonb,
    after text DEFAULT NULL,
    is_last boolean DEFAULT false
)
RETURNS roost.workspace_diff
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 10000;
    v_from text[] := ARRAY[''];
    v_through text[];
    v_last text[];
    v_count bigint;
    v_diff roost.workspace_diff;
BEGIN
    PERFORM roost.require_workspace(diff_workspace.workspace_id, 'viewer');

    IF NOT roost.is_manifest(diff_workspace.manifest, c_most)
        OR diff_workspace.is_last IS NULL
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This is no part of a manifest.',
            DETAIL = format(
                'manifest: %s', coalesce(left(diff_workspace.manifest::text, 200), 'null')
            ),
            HINT = 'Send up to 10,000 of [path, hash, size, base_version, file_id], in the order of'
                ' paths, each folder before what is in it.';
    END IF;

    IF diff_workspace.after IS NOT NULL THEN
        v_from := string_to_array(normalize(diff_workspace.after, NFC), '/') || ''::text;
    END IF;

    -- What the batch answers for goes up to its last path.
    SELECT max(sent.parts COLLATE "C")
    INTO v_through
    FROM roost.read_manifest(diff_workspace.manifest) AS sent
    HAVING NOT diff_workspace.is_last;

    IF EXISTS (
        SELECT FROM roost.read_manifest(diff_workspace.manifest) AS sent
        WHERE sent.parts COLLATE "C" < v_from
    ) OR (v_through IS NULL AND NOT diff_workspace.is_last) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The manifest is not in the order of paths.',
            DETAIL = format('after: %s', left(diff_workspace.after, 200)),
            HINT = 'Send batches whose paths all come behind those of the batch before, compared'
                ' name by name by their bytes, and the last one with is_last.';
    END IF;

    -- More than that comes with the next call.
    SELECT count(*), max(walked.parts COLLATE "C")
    INTO v_count, v_last
    FROM (
        SELECT there.parts
        FROM roost.walk_files(
            diff_workspace.workspace_id, v_from, v_through, NULL, 2 * c_most
        ) AS there
    ) AS walked;

    IF v_count = 2 * c_most THEN
        v_through := v_last;
    END IF;

    SELECT coalesce(
        json_agg(json_strip_nulls(row_to_json(decided)) ORDER BY decided.path COLLATE "C"), '[]'
    )
    INTO v_diff.actions
    FROM roost.decide_manifest(
        diff_workspace.workspace_id, diff_workspace.manifest, v_from, v_through, 2 * c_most
    ) AS decided;

    v_diff.through := array_to_string(v_through, '/');
    v_diff.is_complete := v_through IS NULL;
    v_diff.last_offset := realtime.last_offset(
        format('workspace:%s', diff_workspace.workspace_id)
    );

    RETURN v_diff;
END;
$$;

ALTER FUNCTION api.diff_workspace(uuid, jsonb, text, boolean) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.diff_workspace(uuid, jsonb, text, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.diff_workspace(uuid, jsonb, text, boolean) TO roost_user;

COMMENT ON FUNCTION api.diff_workspace(uuid, jsonb, text, boolean) IS
'Says what a device that has these files is to do, to have what the workspace has. It sends what
it has in batches, in the order of paths: name by name, by their bytes, a folder before what is
in it. Each batch answers for all paths behind after, up to its last one, so that what the device
lacks there is known; nothing is kept between them.

Callers: members of the workspace.
Arguments: workspace_id. manifest, a list of up to 10,000 lists [path, hash, size, base_version,
file_id]: hash in base16, "folder" for a folder, null for what the device has deleted;
base_version and file_id as the device had them when it was last in step, null where it never
was. after, through of the answer before; null for the first. is_last, whether nothing comes
behind this batch.
Returns: an object: actions; through, the path that they go up to: send what comes behind it
next, with this as after; is_complete, where that is all; last_offset of workspace:<id> as it
was. An action has action, path and what is known of file_id, version, hash, size, media_type,
modified_at: upload; download; move, with to_path, and content, upload, download or conflict,
where that differs too; delete, what was deleted there; delete_there, what was deleted here;
make_folder; adopt, it is the same, and these are its id and version; conflict, both have
changed: put_file_state decides it; refuse, with code, details and hint.
Errors: RO101, RO201 (not your workspace), RO302 (no manifest, or not in order).
Example: POST /rpc/diff_workspace {"workspace_id": "<id>", "manifest": [["a.txt", "<64 digits>",
5, 1, "<id>"]], "is_last": true}';

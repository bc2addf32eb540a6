-- depends: 0033.file_contents
-- What is where in a workspace: files and folders by name, what they were before, and where two
-- devices have made different things of the same file.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

INSERT INTO roost.error_codes (code, name, http_status, meaning) VALUES
('RO310', 'name_clash', 409, 'A name there differs in capitals alone; details has it.'),
('RO311', 'content_missing', 409, 'The workspace does not have this content: upload it first.');

ALTER TABLE roost.workspaces
ADD COLUMN deleted_at timestamptz;

COMMENT ON COLUMN roost.workspaces.deleted_at IS
'When it was deleted: from then on nobody is in it, and what it had goes bit by bit.';

-- Whoever owns one that is deleted may do nothing with it any more.
CREATE OR REPLACE FUNCTION roost.owns_workspace(p_workspace_id uuid)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM roost.workspaces AS workspace
        WHERE workspace.id = p_workspace_id
            AND workspace.user_id = (SELECT roost.current_user_id())
            AND workspace.deleted_at IS NULL
    );
$$;

-- Those whose files are yet to go.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX workspaces_deleted_at_idx
ON roost.workspaces (deleted_at) WHERE deleted_at IS NOT NULL;

-- No foreign key: a workspace goes at once, however many conversations point to it, and what points
-- to nothing is shown to nobody.
ALTER TABLE roost.conversations
ADD COLUMN workspace_id uuid;

COMMENT ON COLUMN roost.conversations.workspace_id IS
'The workspace that it is about, which may be gone; shown to those alone who may read that.';

GRANT INSERT (workspace_id), UPDATE (workspace_id) ON roost.conversations TO roost_api;

-- Immutable: what the locale calls a small letter is as fixed as the order of any text index.
CREATE FUNCTION roost.fold_name(p_name text)
RETURNS text
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
RETURN pg_catalog.normalize(
    pg_catalog.lower(pg_catalog.normalize(p_name, 'NFC') COLLATE "default"), 'NFC'
);

COMMENT ON FUNCTION roost.fold_name(text) IS
'What is the same for two names that differ in capitals alone.';

GRANT EXECUTE ON FUNCTION roost.fold_name(text) TO roost_api;

CREATE TYPE roost.file_kind AS ENUM ('file', 'folder');

CREATE TYPE roost.file_sync_status AS ENUM (
    'synced', 'pending', 'syncing', 'conflict', 'error', 'deleted'
);

CREATE TABLE roost.file_sync_state (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    workspace_id uuid NOT NULL REFERENCES roost.workspaces (id) ON DELETE CASCADE,
    parent_id uuid REFERENCES roost.file_sync_state (id),
    container_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(parent_id, workspace_id)) STORED,
    name text COLLATE "C" NOT NULL,
    name_key text COLLATE "C" NOT NULL GENERATED ALWAYS AS (roost.fold_name(name)) STORED,
    kind roost.file_kind NOT NULL,
    content_id uuid REFERENCES roost.file_contents (id),
    hash bytea,
    size bigint,
    media_type text,
    modified_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    sync_status roost.file_sync_status NOT NULL DEFAULT 'synced',
    metadata roost.json_object NOT NULL DEFAULT '{}',
    change_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    created_by uuid,
    updated_by uuid,
    CONSTRAINT file_sync_state_name_fits CHECK (octet_length(name) BETWEEN 1 AND 255),
    CONSTRAINT file_sync_state_name_is_one CHECK (
        name !~ '^[.][.]?$'
        AND name IS NFC NORMALIZED
        AND name !~ '[/\\\u0001-\u001f\u007f-\u009f]'
    ),
    CONSTRAINT file_sync_state_is_not_in_itself CHECK (parent_id <> id),
    CONSTRAINT file_sync_state_file_has_content CHECK (
        (kind = 'file') = (content_id IS NOT NULL)
        AND (kind = 'file') = (hash IS NOT NULL)
        AND (kind = 'file') = (size IS NOT NULL)
    ),
    CONSTRAINT file_sync_state_hash_is_sha256 CHECK (octet_length(hash) = 32),
    CONSTRAINT file_sync_state_size_is_one CHECK (size >= 0),
    CONSTRAINT file_sync_state_media_type_fits CHECK (octet_length(media_type) BETWEEN 1 AND 255),
    CONSTRAINT file_sync_state_version_counts_up CHECK (version >= 1),
    CONSTRAINT file_sync_state_change_seq_counts_up CHECK (change_seq >= 0),
    CONSTRAINT file_sync_state_deleted_says_so CHECK (
        (deleted_at IS NOT NULL) = (sync_status = 'deleted')
    )
);

COMMENT ON TABLE roost.file_sync_state IS
'Files and folders of workspaces. Each is in a folder or at the top; its path is walked.';

COMMENT ON COLUMN roost.file_sync_state.id IS
'Time-ordered identifier, which stays when it is renamed, moved, deleted or restored.';

COMMENT ON COLUMN roost.file_sync_state.workspace_id IS 'The workspace.';

COMMENT ON COLUMN roost.file_sync_state.parent_id IS
'The folder that it is in; empty at the top of the workspace.';

COMMENT ON COLUMN roost.file_sync_state.container_id IS
'The folder that it is in, or the workspace: never empty, so that an index can be asked for it.';

COMMENT ON COLUMN roost.file_sync_state.name IS
'Its name, 1 to 255 bytes, as roost.split_file_path writes it.';

COMMENT ON COLUMN roost.file_sync_state.name_key IS
'What is the same for names that differ in capitals alone.';

COMMENT ON COLUMN roost.file_sync_state.kind IS 'file or folder.';

COMMENT ON COLUMN roost.file_sync_state.content_id IS 'What is in it; empty for a folder.';

COMMENT ON COLUMN roost.file_sync_state.hash IS
'SHA-256 of what is in it; empty for a folder.';

COMMENT ON COLUMN roost.file_sync_state.size IS 'How many bytes; empty for a folder.';

COMMENT ON COLUMN roost.file_sync_state.media_type IS
'Its media type, as the client says; empty where it does not.';

COMMENT ON COLUMN roost.file_sync_state.modified_at IS
'When it was changed by the client''s clock, for people to read; empty where it does not say.';

COMMENT ON COLUMN roost.file_sync_state.version IS
'Counts what has been in it: 1 is the first.';

COMMENT ON COLUMN roost.file_sync_state.sync_status IS
'synced; pending or syncing while an upload to it goes on; conflict while one about it is open;
error when it is damaged; deleted.';

COMMENT ON COLUMN roost.file_sync_state.metadata IS 'Free data of the client.';

COMMENT ON COLUMN roost.file_sync_state.change_seq IS
'Offset of the newest event of workspace:<id> about it.';

COMMENT ON COLUMN roost.file_sync_state.created_at IS 'When it was made.';

COMMENT ON COLUMN roost.file_sync_state.updated_at IS
'When its name, place or content last changed.';

COMMENT ON COLUMN roost.file_sync_state.deleted_at IS
'When it was deleted; empty while it is there. What is in a deleted folder is not seen either.';

COMMENT ON COLUMN roost.file_sync_state.created_by IS 'Who made it, who may be gone.';

COMMENT ON COLUMN roost.file_sync_state.updated_by IS 'Who last changed it, who may be gone.';

COMMENT ON CONSTRAINT file_sync_state_media_type_fits ON roost.file_sync_state IS
'Send a media type of 1 to 255 bytes, or none.';

-- Guards two devices that make the same name, or one that differs in capitals alone, beside the
-- lock on the workspace.
CREATE UNIQUE INDEX file_sync_state_name_key
ON roost.file_sync_state (workspace_id, container_id, name_key) WHERE deleted_at IS NULL;

-- Serves lists of folders, and whoever walks through a workspace in order. Those that are deleted,
-- of which there may be many of a name, are kept apart.
CREATE INDEX file_sync_state_name_idx
ON roost.file_sync_state (workspace_id, container_id, name) WHERE deleted_at IS NULL;

CREATE INDEX file_sync_state_deleted_name_idx
ON roost.file_sync_state (workspace_id, container_id, name, id) WHERE deleted_at IS NOT NULL;

-- Serves a device that asks what has changed, and the foreign key.
CREATE INDEX file_sync_state_change_seq_idx
ON roost.file_sync_state (workspace_id, change_seq);

-- Serve foreign keys.
CREATE INDEX file_sync_state_parent_id_idx
ON roost.file_sync_state (parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX file_sync_state_content_id_idx
ON roost.file_sync_state (content_id) WHERE content_id IS NOT NULL;

-- Serve roost.expire_files.
CREATE INDEX file_sync_state_deleted_at_idx
ON roost.file_sync_state (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE INDEX file_sync_state_deleted_folders_idx
ON roost.file_sync_state (deleted_at) WHERE deleted_at IS NOT NULL AND kind = 'folder';

-- Folders within folders, for whoever moves one.
CREATE INDEX file_sync_state_folders_idx
ON roost.file_sync_state (parent_id) WHERE kind = 'folder' AND deleted_at IS NULL;

CREATE TABLE roost.file_versions (
    file_id uuid NOT NULL REFERENCES roost.file_sync_state (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    workspace_id uuid NOT NULL REFERENCES roost.workspaces (id) ON DELETE CASCADE,
    content_id uuid NOT NULL REFERENCES roost.file_contents (id),
    hash bytea NOT NULL,
    size bigint NOT NULL,
    media_type text,
    modified_at timestamptz,
    created_by uuid,
    device_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    -- Guards two writers of one version, beside the lock on the workspace.
    CONSTRAINT file_versions_pkey PRIMARY KEY (file_id, version),
    CONSTRAINT file_versions_version_counts_up CHECK (version >= 1),
    CONSTRAINT file_versions_hash_is_sha256 CHECK (octet_length(hash) = 32),
    CONSTRAINT file_versions_size_is_one CHECK (size >= 0),
    CONSTRAINT file_versions_media_type_fits CHECK (octet_length(media_type) BETWEEN 1 AND 255)
);

COMMENT ON TABLE roost.file_versions IS
'What files have had in them: the newest 100 of each, and all of the last 30 days.';

COMMENT ON COLUMN roost.file_versions.file_id IS 'The file.';

COMMENT ON COLUMN roost.file_versions.version IS 'Its number.';

COMMENT ON COLUMN roost.file_versions.workspace_id IS 'The workspace of the file.';

COMMENT ON COLUMN roost.file_versions.content_id IS 'What was in it.';

COMMENT ON COLUMN roost.file_versions.hash IS 'SHA-256 of that.';

COMMENT ON COLUMN roost.file_versions.size IS 'How many bytes.';

COMMENT ON COLUMN roost.file_versions.media_type IS
'Its media type, as the client says; empty where it does not.';

COMMENT ON COLUMN roost.file_versions.modified_at IS
'When it was changed by the client''s clock; empty where it does not say.';

COMMENT ON COLUMN roost.file_versions.created_by IS 'Who wrote it, who may be gone.';

COMMENT ON COLUMN roost.file_versions.device_id IS
'On which device, which may be gone; empty where there was none.';

COMMENT ON COLUMN roost.file_versions.created_at IS 'When it came.';

COMMENT ON COLUMN roost.file_versions.expires_at IS
'From when on it may go: written when 100 newer ones are there.';

-- Serve foreign keys.
CREATE INDEX file_versions_workspace_id_idx ON roost.file_versions (workspace_id);

CREATE INDEX file_versions_content_id_idx ON roost.file_versions (content_id);

-- Serves roost.expire_files.
CREATE INDEX file_versions_expires_at_idx
ON roost.file_versions (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE roost.file_sync_state ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.file_versions ENABLE ROW LEVEL SECURITY;

-- The role is looked up for each row through the primary key of members, as for workspaces.
CREATE POLICY file_sync_state_select_member ON roost.file_sync_state
FOR SELECT TO roost_api
USING (
    (
        SELECT member.role
        FROM roost.workspace_members AS member
        WHERE member.workspace_id = file_sync_state.workspace_id
            AND member.user_id = (SELECT roost.current_user_id())
            AND member.left_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY file_sync_state_insert_editor ON roost.file_sync_state
FOR INSERT TO roost_api
WITH CHECK (coalesce(roost.own_workspace_role(workspace_id) >= 'editor', false));

CREATE POLICY file_sync_state_update_editor ON roost.file_sync_state
FOR UPDATE TO roost_api
USING (coalesce(roost.own_workspace_role(workspace_id) >= 'editor', false));

CREATE POLICY file_versions_select_member ON roost.file_versions
FOR SELECT TO roost_api
USING (
    (
        SELECT member.role
        FROM roost.workspace_members AS member
        WHERE member.workspace_id = file_versions.workspace_id
            AND member.user_id = (SELECT roost.current_user_id())
            AND member.left_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY file_versions_insert_editor ON roost.file_versions
FOR INSERT TO roost_api
WITH CHECK (coalesce(roost.own_workspace_role(workspace_id) >= 'editor', false));

CREATE POLICY file_versions_update_editor ON roost.file_versions
FOR UPDATE TO roost_api
USING (coalesce(roost.own_workspace_role(workspace_id) >= 'editor', false));

GRANT SELECT ON roost.file_sync_state TO roost_api;

-- Not change_seq: nobody else writes offsets.
GRANT INSERT (
    id, workspace_id, parent_id, name, kind, content_id, hash, size, media_type, modified_at,
    metadata, created_by, updated_by
) ON roost.file_sync_state TO roost_api;

GRANT UPDATE (
    parent_id, name, content_id, hash, size, media_type, modified_at, version, sync_status,
    metadata, updated_at, deleted_at, updated_by
) ON roost.file_sync_state TO roost_api;

GRANT SELECT, INSERT ON roost.file_versions TO roost_api;

GRANT UPDATE (expires_at) ON roost.file_versions TO roost_api;

-- What the functions about files answer, and file.* carry.
CREATE TYPE roost.file AS (
    id uuid,
    workspace_id uuid,
    parent_id uuid,
    kind roost.file_kind,
    name text,
    path text,
    hash text,
    size bigint,
    media_type text,
    modified_at timestamptz,
    version bigint,
    sync_status roost.file_sync_status,
    metadata jsonb,
    change_seq bigint,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    created_by uuid,
    updated_by uuid
);

-- What came of putting something into a file: created, updated, unchanged, merged or conflict.
CREATE TYPE roost.file_outcome AS (
    outcome text,
    file jsonb,
    conflict_id uuid,
    copy jsonb
);

-- The same of one of many, of which some may be rejected.
CREATE TYPE roost.put_outcome AS (
    path text,
    outcome text,
    file jsonb,
    conflict_id uuid,
    copy jsonb,
    code text,
    message text,
    details text,
    hint text
);

CREATE TYPE roost.file_version AS (
    file_id uuid,
    version bigint,
    hash text,
    size bigint,
    media_type text,
    modified_at timestamptz,
    created_by uuid,
    device_id uuid,
    created_at timestamptz
);

-- What compare_file_versions answers.
CREATE TYPE roost.file_comparison AS (
    file_id uuid,
    from_version bigint,
    to_version bigint,
    is_same boolean,
    is_text boolean,
    hunks jsonb
);

-- What verify_file answers.
CREATE TYPE roost.file_check AS (
    file_id uuid,
    version bigint,
    size bigint,
    is_sound boolean,
    damaged jsonb,
    next_byte bigint
);

-- What diff_workspace answers.
CREATE TYPE roost.workspace_diff AS (
    actions json,
    through text,
    is_complete boolean,
    last_offset bigint
);

-- A file or folder on the way through a workspace.
CREATE TYPE roost.walked_file AS (
    path text,
    parts text [],
    file roost.file_sync_state
);

ALTER TYPE roost.conversation ADD ATTRIBUTE workspace_id uuid;

-- A wider list, of a table that is released with it: nothing is looked through for long. What a
-- call has met has no operation.
ALTER TABLE roost.sync_conflicts
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT sync_conflicts_target_kind_is_known,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT sync_conflicts_target_kind_is_known
CHECK (target_kind IN ('message', 'conversation', 'account', 'workspace', 'file')),
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT sync_conflicts_has_an_operation,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT sync_conflicts_has_an_operation CHECK (
    num_nonnulls(operation_id, offline_operation_id) = 1
    OR (
        target_kind = 'file' AND num_nonnulls(operation_id, offline_operation_id) = 0
    )
);

COMMENT ON COLUMN roost.sync_conflicts.target_kind IS
'message, conversation, account, workspace or file.';

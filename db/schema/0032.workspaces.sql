-- depends: 0031.offline_operations
-- Folders that a person works in, on whichever device, and who else may see what is in them.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Immutable, which convert_to by itself is not: what its names of encodings mean may be changed.
CREATE FUNCTION roost.hash_path(p_path text)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.convert_to(p_path, 'UTF8'));

COMMENT ON FUNCTION roost.hash_path(text) IS 'SHA-256 of a path in UTF-8.';

GRANT EXECUTE ON FUNCTION roost.hash_path(text) TO roost_api;

-- Offsets of workspace:<id> are given out by its row of realtime.topics, not by this one: nothing
-- here is written with every event, and the row of the topic stays when this one goes.
CREATE TABLE roost.workspaces (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    name text NOT NULL,
    path text NOT NULL,
    path_hash bytea NOT NULL GENERATED ALWAYS AS (roost.hash_path(path)) STORED,
    settings roost.json_object NOT NULL DEFAULT '{}',
    change_seq bigint NOT NULL DEFAULT 0,
    last_accessed timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Guards two devices that make a workspace of the same folder at once. By the hash: a path may
    -- be longer than what an index takes. Serves the foreign key too.
    CONSTRAINT workspaces_user_id_path_key UNIQUE (user_id, path_hash),
    CONSTRAINT workspaces_name_fits CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT workspaces_path_fits CHECK (octet_length(path) BETWEEN 1 AND 4096),
    CONSTRAINT workspaces_path_is_normal CHECK (
        path IS NFC NORMALIZED AND path !~ '[\u0001-\u001f\u007f-\u009f]'
    ),
    CONSTRAINT workspaces_change_seq_counts_up CHECK (change_seq >= 0)
)
-- Opening one moves last_accessed, which is in no index.
WITH (fillfactor = 80);

COMMENT ON TABLE roost.workspaces IS
'Folders that people work in, each the same for all devices of everybody who may see it.';

COMMENT ON COLUMN roost.workspaces.id IS
'Time-ordered identifier, or one that the client has made.';

COMMENT ON COLUMN roost.workspaces.user_id IS 'The owner.';

COMMENT ON COLUMN roost.workspaces.name IS 'What people call it, 1 to 200 characters.';

COMMENT ON COLUMN roost.workspaces.path IS
'The folder on the owner''s devices, at most 4096 bytes, as roost.normalise_path writes it.';

COMMENT ON COLUMN roost.workspaces.path_hash IS 'SHA-256 of the path.';

COMMENT ON COLUMN roost.workspaces.settings IS 'Free settings of the client.';

COMMENT ON COLUMN roost.workspaces.change_seq IS
'Offset of the newest event of workspace:<id> that changed it; 0 before the first.';

COMMENT ON COLUMN roost.workspaces.last_accessed IS
'When somebody last opened it, to the minute.';

COMMENT ON COLUMN roost.workspaces.created_at IS 'When it was made.';

COMMENT ON COLUMN roost.workspaces.updated_at IS 'When name, path or settings last changed.';

COMMENT ON CONSTRAINT workspaces_pkey ON roost.workspaces IS
'Make a new id for each workspace, at random.';

COMMENT ON CONSTRAINT workspaces_user_id_path_key ON roost.workspaces IS
'You have a workspace of this path: find it with list_workspaces, or send another path.';

COMMENT ON CONSTRAINT workspaces_name_fits ON roost.workspaces IS
'Send a name of 1 to 200 characters.';

COMMENT ON CONSTRAINT workspaces_path_fits ON roost.workspaces IS
'Send a path of at most 4096 bytes.';

-- In rising order, so that "at least editor" is written role >= 'editor'.
CREATE TYPE roost.workspace_role AS ENUM ('viewer', 'editor', 'owner');

CREATE TABLE roost.workspace_members (
    workspace_id uuid NOT NULL REFERENCES roost.workspaces (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    role roost.workspace_role NOT NULL DEFAULT 'viewer',
    added_by uuid,
    change_seq bigint NOT NULL DEFAULT 0,
    joined_at timestamptz NOT NULL DEFAULT now(),
    left_at timestamptz,
    CONSTRAINT workspace_members_pkey PRIMARY KEY (workspace_id, user_id),
    CONSTRAINT workspace_members_owner_stays CHECK (role <> 'owner' OR left_at IS NULL),
    CONSTRAINT workspace_members_change_seq_counts_up CHECK (change_seq >= 0)
);

COMMENT ON TABLE roost.workspace_members IS
'Who may see a workspace, and as what. Who has left stays, so that devices can be told.';

COMMENT ON COLUMN roost.workspace_members.workspace_id IS 'The workspace.';

COMMENT ON COLUMN roost.workspace_members.user_id IS 'The person.';

COMMENT ON COLUMN roost.workspace_members.role IS
'viewer reads, editor also changes files, owner is whose workspace it is.';

COMMENT ON COLUMN roost.workspace_members.added_by IS
'Who added them, who may have gone; empty for the owner.';

COMMENT ON COLUMN roost.workspace_members.change_seq IS
'Offset of the newest event of workspace:<id> that changed them; 0 for the owner.';

COMMENT ON COLUMN roost.workspace_members.joined_at IS 'When they were added.';

COMMENT ON COLUMN roost.workspace_members.left_at IS
'When they left or were removed; empty while they are in.';

-- Guards a second owner.
CREATE UNIQUE INDEX workspace_members_one_owner
ON roost.workspace_members (workspace_id) WHERE role = 'owner';

-- Serves the list of a person's workspaces, newest first, and the foreign key, which asks for all
-- of them.
CREATE INDEX workspace_members_user_id_idx
ON roost.workspace_members (user_id, left_at, workspace_id);

-- Serves the list of who is in a workspace: of those who have left there may be many more.
CREATE INDEX workspace_members_present_idx
ON roost.workspace_members (workspace_id, user_id) WHERE left_at IS NULL;

-- Serves a device that asks what has changed.
CREATE INDEX workspace_members_change_seq_idx
ON roost.workspace_members (workspace_id, change_seq);

-- The caller's role in a workspace, NULL for an outsider. Runs as the owner, since a policy of
-- workspace_members that read the table as its own subject would never end.
CREATE FUNCTION roost.own_workspace_role(p_workspace_id uuid)
RETURNS roost.workspace_role
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT member.role
    FROM roost.workspace_members AS member
    WHERE member.workspace_id = p_workspace_id
        AND member.user_id = (SELECT roost.current_user_id())
        AND member.left_at IS NULL;
$$;

COMMENT ON FUNCTION roost.own_workspace_role(uuid) IS
'The caller''s role in a workspace, NULL for an outsider.';

-- Runs as the owner, as own_workspace_role does: policies of either table would ask each other.
CREATE FUNCTION roost.owns_workspace(p_workspace_id uuid)
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
    );
$$;

COMMENT ON FUNCTION roost.owns_workspace(uuid) IS 'Whether a workspace is the caller''s own.';

GRANT EXECUTE ON FUNCTION
    roost.own_workspace_role(uuid),
    roost.owns_workspace(uuid)
TO roost_api;

ALTER TABLE roost.workspaces ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.workspace_members ENABLE ROW LEVEL SECURITY;

-- The role is looked up for each row through the primary key. Written as EXISTS, the planner may
-- instead collect all workspaces of the person first.
CREATE POLICY workspaces_select_member ON roost.workspaces
FOR SELECT TO roost_api
USING (
    (
        SELECT member.role
        FROM roost.workspace_members AS member
        WHERE member.workspace_id = workspaces.id
            AND member.user_id = (SELECT roost.current_user_id())
            AND member.left_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY workspaces_insert_own ON roost.workspaces
FOR INSERT TO roost_api
WITH CHECK (user_id = (SELECT roost.current_user_id()));

CREATE POLICY workspaces_update_own ON roost.workspaces
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY workspaces_delete_own ON roost.workspaces
FOR DELETE TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

-- The first half is decided by an index lookup in the statement itself; the function is asked only
-- about rows of other people.
CREATE POLICY workspace_members_select_fellow ON roost.workspace_members
FOR SELECT TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    OR roost.own_workspace_role(workspace_id) IS NOT NULL
);

-- The owner's row is their own; all others they give.
CREATE POLICY workspace_members_insert_owner ON roost.workspace_members
FOR INSERT TO roost_api
WITH CHECK (
    roost.owns_workspace(workspace_id)
    AND (role = 'owner') = (user_id = (SELECT roost.current_user_id()))
);

CREATE POLICY workspace_members_update_owner ON roost.workspace_members
FOR UPDATE TO roost_api
USING (role < 'owner' AND roost.owns_workspace(workspace_id))
WITH CHECK (role < 'owner' AND roost.owns_workspace(workspace_id));

-- Everybody else may go, and nobody comes back by themselves.
CREATE POLICY workspace_members_update_own ON roost.workspace_members
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()) AND role < 'owner' AND left_at IS NULL)
WITH CHECK (
    user_id = (SELECT roost.current_user_id()) AND role < 'owner' AND left_at IS NOT NULL
);

GRANT SELECT, INSERT, DELETE ON roost.workspaces TO roost_api;

GRANT UPDATE (name, path, settings) ON roost.workspaces TO roost_api;

GRANT SELECT, INSERT ON roost.workspace_members TO roost_api;

GRANT UPDATE (role, added_by, joined_at, left_at) ON roost.workspace_members TO roost_api;

-- What the functions about workspaces answer.
CREATE TYPE roost.workspace AS (
    id uuid,
    user_id uuid,
    name text,
    path text,
    settings jsonb,
    role roost.workspace_role,
    change_seq bigint,
    last_accessed timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

-- What workspace.updated and workspace.deleted carry.
CREATE TYPE roost.shared_workspace AS (
    id uuid,
    user_id uuid,
    name text,
    path text,
    settings jsonb,
    change_seq bigint,
    created_at timestamptz,
    updated_at timestamptz
);

-- What the functions about members answer, and workspace_member.* carry.
CREATE TYPE roost.workspace_member AS (
    workspace_id uuid,
    user_id uuid,
    role roost.workspace_role,
    added_by uuid,
    change_seq bigint,
    joined_at timestamptz,
    left_at timestamptz
);

-- A wider list, of a table that is released with it: nothing is looked through for long.
ALTER TABLE roost.sync_conflicts
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT sync_conflicts_target_kind_is_known,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT sync_conflicts_target_kind_is_known
CHECK (target_kind IN ('message', 'conversation', 'account', 'workspace'));

COMMENT ON COLUMN roost.sync_conflicts.target_kind IS
'message, conversation, account or workspace.';

-- depends: 0004.accounts
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

CREATE TYPE roost.device_type AS ENUM (
    'phone', 'tablet', 'laptop', 'desktop', 'editor', 'browser', 'server', 'other'
);

CREATE TYPE roost.device_status AS ENUM ('active', 'revoked');

CREATE TABLE roost.devices (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    device_name text NOT NULL DEFAULT '',
    device_type roost.device_type NOT NULL DEFAULT 'other',
    platform text NOT NULL DEFAULT '',
    capabilities roost.json_object NOT NULL DEFAULT '{}',
    last_seen timestamptz NOT NULL DEFAULT now(),
    status roost.device_status NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Lets sessions and connections name device and person together, so that they can't disagree.
    CONSTRAINT devices_id_user_id_key UNIQUE (id, user_id),
    CONSTRAINT devices_device_name_fits CHECK (char_length(device_name) <= 100),
    CONSTRAINT devices_platform_fits CHECK (char_length(platform) <= 200)
);

COMMENT ON TABLE roost.devices IS 'What a person uses Roost from: phone, laptop, editor.';

COMMENT ON COLUMN roost.devices.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.devices.user_id IS 'Whose device it is.';

COMMENT ON COLUMN roost.devices.device_name IS 'Name for people, at most 100 characters.';

COMMENT ON COLUMN roost.devices.device_type IS 'Kind of device.';

COMMENT ON COLUMN roost.devices.platform IS
'Operating system or user agent, at most 200 characters.';

COMMENT ON COLUMN roost.devices.capabilities IS 'What the client on it can do; free keys.';

COMMENT ON COLUMN roost.devices.last_seen IS 'Last sign-in, refresh or registration.';

COMMENT ON COLUMN roost.devices.status IS
'A revoked device has no living session and gets no new one.';

COMMENT ON COLUMN roost.devices.created_at IS 'When it was first seen.';

COMMENT ON COLUMN roost.devices.updated_at IS 'When the row last changed.';

COMMENT ON CONSTRAINT devices_device_name_fits ON roost.devices IS
'Send a device name of at most 100 characters.';

COMMENT ON CONSTRAINT devices_platform_fits ON roost.devices IS
'Send a platform of at most 200 characters.';

-- Serves the foreign key and the list of a person's devices, newest first.
CREATE INDEX devices_user_id_idx ON roost.devices (user_id, id DESC);

ALTER TABLE roost.devices ENABLE ROW LEVEL SECURITY;

CREATE POLICY devices_select_own ON roost.devices
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY devices_insert_own ON roost.devices
FOR INSERT TO roost_api
WITH CHECK (user_id = (SELECT roost.current_user_id()));

CREATE POLICY devices_update_own ON roost.devices
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()))
WITH CHECK (user_id = (SELECT roost.current_user_id()));

CREATE POLICY devices_delete_own ON roost.devices
FOR DELETE TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

GRANT SELECT, INSERT, UPDATE, DELETE ON roost.devices TO roost_api;

CREATE TYPE roost.extension_state AS ENUM ('connected', 'idle', 'closed');

CREATE TABLE roost.extension_connections (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL,
    device_id uuid NOT NULL,
    editor text NOT NULL,
    version text NOT NULL DEFAULT '',
    workspace_path text NOT NULL DEFAULT '',
    state roost.extension_state NOT NULL DEFAULT 'connected',
    last_heartbeat timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    CONSTRAINT extension_connections_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT extension_connections_editor_fits CHECK (char_length(editor) BETWEEN 1 AND 100),
    CONSTRAINT extension_connections_version_fits CHECK (char_length(version) <= 100),
    CONSTRAINT extension_connections_workspace_path_fits
    CHECK (char_length(workspace_path) <= 4096),
    CONSTRAINT extension_connections_closed_has_time
    CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);

COMMENT ON TABLE roost.extension_connections IS 'Editor extensions that are, or were, connected.';

COMMENT ON COLUMN roost.extension_connections.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.extension_connections.user_id IS 'Whose editor it is.';

COMMENT ON COLUMN roost.extension_connections.device_id IS 'The device that the editor runs on.';

COMMENT ON COLUMN roost.extension_connections.editor IS 'Editor, such as vscode.';

COMMENT ON COLUMN roost.extension_connections.version IS 'Version of the extension.';

COMMENT ON COLUMN roost.extension_connections.workspace_path IS
'Folder that is open in the editor.';

COMMENT ON COLUMN roost.extension_connections.state IS
'connected or idle by its heartbeat, or closed.';

COMMENT ON COLUMN roost.extension_connections.last_heartbeat IS 'Last sign of life.';

COMMENT ON COLUMN roost.extension_connections.created_at IS 'When it was opened.';

COMMENT ON COLUMN roost.extension_connections.closed_at IS 'When it was closed; empty until then.';

COMMENT ON CONSTRAINT extension_connections_editor_fits ON roost.extension_connections IS
'Send the editor''s name, 1 to 100 characters.';

COMMENT ON CONSTRAINT extension_connections_version_fits ON roost.extension_connections IS
'Send a version of at most 100 characters.';

COMMENT ON CONSTRAINT extension_connections_workspace_path_fits ON roost.extension_connections IS
'Send a path of at most 4096 characters.';

-- Serves the foreign key and the list of a person's connections, newest first.
CREATE INDEX extension_connections_device_idx
ON roost.extension_connections (device_id, user_id);

CREATE INDEX extension_connections_user_idx ON roost.extension_connections (user_id, id DESC);

ALTER TABLE roost.extension_connections ENABLE ROW LEVEL SECURITY;

CREATE POLICY extension_connections_select_own ON roost.extension_connections
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY extension_connections_insert_own ON roost.extension_connections
FOR INSERT TO roost_api
WITH CHECK (user_id = (SELECT roost.current_user_id()));

CREATE POLICY extension_connections_update_own ON roost.extension_connections
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()))
WITH CHECK (user_id = (SELECT roost.current_user_id()));

GRANT SELECT, INSERT, UPDATE ON roost.extension_connections TO roost_api;

-- What the functions about devices answer.
CREATE TYPE roost.device AS (
    id uuid,
    device_name text,
    device_type roost.device_type,
    platform text,
    capabilities jsonb,
    status roost.device_status,
    current boolean,
    last_seen timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

-- What a client says about its device when it signs up or in. Everything may be left out.
CREATE TYPE roost.device_description AS (
    device_id uuid,
    device_name text,
    device_type roost.device_type,
    platform text,
    capabilities jsonb
);

-- What the functions about extension connections answer.
CREATE TYPE roost.extension_connection AS (
    id uuid,
    device_id uuid,
    editor text,
    version text,
    workspace_path text,
    state roost.extension_state,
    last_heartbeat timestamptz,
    created_at timestamptz,
    closed_at timestamptz
);

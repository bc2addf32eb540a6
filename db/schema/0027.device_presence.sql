-- depends: 0026.device_messages
-- Who is there: on which devices, connected to which of the servers, and who is present in a topic.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- In rising order: of a person's devices the greatest counts, as max() finds it. A device is online
-- by itself, and busy because somebody said so; that is what others should know.
CREATE TYPE roost.presence_status AS ENUM ('offline', 'idle', 'online', 'busy');

-- A process that serves sockets writes here every few seconds. Whoever reads presence compares with
-- the clock, so after a crash nobody stays online, also when no server is left to tidy up.
CREATE TABLE roost.servers (
    id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL DEFAULT now()
)
WITH (fillfactor = 50);

COMMENT ON TABLE roost.servers IS 'Server processes that run, or ran a moment ago.';

COMMENT ON COLUMN roost.servers.id IS 'Made by the process when it starts.';

COMMENT ON COLUMN roost.servers.started_at IS 'When it was first heard of.';

COMMENT ON COLUMN roost.servers.beat_at IS
'Its last sign of life; -infinity when it is about to stop.';

ALTER TABLE roost.servers ENABLE ROW LEVEL SECURITY;

-- PostgreSQL 15 names the columns of a view that reads one table alone otherwise than 16 does. Each
-- of these reads two, so that its text in the catalogue is the same everywhere.
CREATE VIEW roost.living_servers AS
SELECT server.id
FROM roost.servers AS server
CROSS JOIN (SELECT '30 seconds'::interval AS seconds) AS silence
WHERE server.beat_at > now() - silence.seconds;

COMMENT ON VIEW roost.living_servers IS 'The servers that gave a sign of life within 30 seconds.';

COMMENT ON COLUMN roost.living_servers.id IS 'The server.';

-- Logged, since it is to survive a restart; written when a device comes or goes and every half
-- minute in between, for many devices at once.
CREATE TABLE roost.device_presence (
    device_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    status roost.presence_status NOT NULL DEFAULT 'online',
    activity text,
    last_seen timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT device_presence_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT device_presence_activity_fits CHECK (char_length(activity) BETWEEN 1 AND 200)
)
-- Room for the new version of a row on its page: no index is written when last_seen moves.
WITH (fillfactor = 70);

COMMENT ON TABLE roost.device_presence IS
'What a device says of itself, and when it was last seen. Whether it is there: current_presence.';

COMMENT ON COLUMN roost.device_presence.device_id IS 'The device.';

COMMENT ON COLUMN roost.device_presence.user_id IS 'Whose device it is.';

COMMENT ON COLUMN roost.device_presence.status IS
'How it wants to be seen while it is connected; offline hides it.';

COMMENT ON COLUMN roost.device_presence.activity IS
'What is being done on it, at most 200 characters.';

COMMENT ON COLUMN roost.device_presence.last_seen IS
'When something last came from it; at most half a minute behind while it is connected.';

COMMENT ON COLUMN roost.device_presence.updated_at IS 'When status or activity were last set.';

COMMENT ON CONSTRAINT device_presence_activity_fits ON roost.device_presence IS
'Send an activity of 1 to 200 characters, or null for none.';

-- Serves the foreign key and the merging of a person's devices.
CREATE INDEX device_presence_user_id_idx ON roost.device_presence (user_id, device_id);

-- By session and not by device: a session may move to another device while it is connected. One row
-- for each server, so that leaving one of two leaves a device online.
CREATE TABLE roost.device_connections (
    session_id uuid NOT NULL REFERENCES roost.sessions (id) ON DELETE CASCADE,
    server_id uuid NOT NULL REFERENCES roost.servers (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    CONSTRAINT device_connections_pkey PRIMARY KEY (server_id, session_id)
);

COMMENT ON TABLE roost.device_connections IS 'Which sessions have a socket on which server.';

COMMENT ON COLUMN roost.device_connections.session_id IS 'The session.';

COMMENT ON COLUMN roost.device_connections.server_id IS 'The server.';

COMMENT ON COLUMN roost.device_connections.user_id IS 'Whose session it is.';

-- Serves the foreign key.
CREATE INDEX device_connections_session_id_idx ON roost.device_connections (session_id);

-- Serves the foreign key and the merging of a person's devices.
CREATE INDEX device_connections_user_id_idx ON roost.device_connections (user_id);

-- A device may be connected before anything is written of it: a session has moved to it.
CREATE VIEW roost.current_presence AS
SELECT
    device.id AS device_id,
    device.user_id,
    CASE
        WHEN found.connected THEN coalesce(presence.status, 'online')
        ELSE 'offline'
    END AS status,
    presence.activity,
    coalesce(found.connected, false) AS connected,
    -- Whoever hides is not given away by being seen.
    CASE
        WHEN presence.status = 'offline' THEN least(presence.last_seen, presence.updated_at)
        ELSE presence.last_seen
    END AS last_seen,
    presence.updated_at
FROM roost.devices AS device
LEFT JOIN roost.device_presence AS presence ON presence.device_id = device.id
LEFT JOIN LATERAL (
    SELECT true AS connected
    FROM roost.device_connections AS connection
    JOIN roost.living_servers AS server ON server.id = connection.server_id
    JOIN roost.sessions AS session ON session.id = connection.session_id
    WHERE connection.user_id = device.user_id AND session.device_id = device.id
    LIMIT 1
) AS found ON true;

COMMENT ON VIEW roost.current_presence IS 'Devices as they are at this moment.';

COMMENT ON COLUMN roost.current_presence.device_id IS 'The device.';

COMMENT ON COLUMN roost.current_presence.user_id IS 'Whose device it is.';

COMMENT ON COLUMN roost.current_presence.status IS
'As it says itself while it is connected, else offline.';

COMMENT ON COLUMN roost.current_presence.activity IS 'What is, or was, being done on it.';

COMMENT ON COLUMN roost.current_presence.connected IS 'Whether it has a socket on a living server.';

COMMENT ON COLUMN roost.current_presence.last_seen IS
'When something last came from it, or, for one that hides, when it began to; empty for one that was
never connected.';

COMMENT ON COLUMN roost.current_presence.updated_at IS 'When status or activity were last set.';

CREATE VIEW roost.user_presence AS
SELECT
    account.id AS user_id,
    max(presence.status) AS status,
    (
        array_agg(
            presence.activity
            ORDER BY presence.status DESC, presence.updated_at DESC, presence.device_id DESC
        )
        FILTER (WHERE presence.status > 'offline' AND presence.activity IS NOT NULL)
    )[1] AS activity,
    max(presence.last_seen) AS last_seen
FROM roost.users AS account
JOIN roost.current_presence AS presence ON presence.user_id = account.id
GROUP BY account.id;

COMMENT ON VIEW roost.user_presence IS
'People as they are at this moment, merged from their devices: busy before online, online before
idle, idle before offline. People without a device are not in it.';

COMMENT ON COLUMN roost.user_presence.user_id IS 'The person.';

COMMENT ON COLUMN roost.user_presence.status IS 'The greatest of their devices.';

COMMENT ON COLUMN roost.user_presence.activity IS
'Of the devices that have one: of the greatest status, and of these the one that was set last.';

COMMENT ON COLUMN roost.user_presence.last_seen IS 'When something last came from any of them.';

-- What was last told of a person. Its row is locked by whoever changes what it is merged from: two
-- servers that each lose one of two devices at once would both find the other one still there, and
-- nobody would hear that the person has gone.
CREATE TABLE roost.announced_presence (
    user_id uuid PRIMARY KEY REFERENCES roost.users (id) ON DELETE CASCADE,
    status roost.presence_status NOT NULL DEFAULT 'offline',
    activity text,
    announced_at timestamptz NOT NULL DEFAULT now()
)
WITH (fillfactor = 70);

COMMENT ON TABLE roost.announced_presence IS 'What the event presence last said of a person.';

COMMENT ON COLUMN roost.announced_presence.user_id IS 'The person.';

COMMENT ON COLUMN roost.announced_presence.status IS 'The status that was told.';

COMMENT ON COLUMN roost.announced_presence.activity IS 'The activity that was told.';

COMMENT ON COLUMN roost.announced_presence.announced_at IS 'When.';

-- What the clients of one server track in their channels, for the other servers. Of no worth after
-- a crash, when every server writes its own again, so not logged.
CREATE UNLOGGED TABLE realtime.presences (
    server_id uuid NOT NULL REFERENCES roost.servers (id) ON DELETE CASCADE,
    reference text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    meta json NOT NULL,
    CONSTRAINT presences_pkey PRIMARY KEY (server_id, reference),
    CONSTRAINT presences_meta_fits CHECK (octet_length(meta::text) <= 32768)
);

COMMENT ON TABLE realtime.presences IS 'Who is present in which topic, through which server.';

COMMENT ON COLUMN realtime.presences.server_id IS 'The server that the client is connected to.';

COMMENT ON COLUMN realtime.presences.reference IS 'The phx_ref of the meta, unique on its server.';

COMMENT ON COLUMN realtime.presences.topic IS 'Topic, such as conversation:<id>.';

COMMENT ON COLUMN realtime.presences.key IS 'Under which the client is present.';

COMMENT ON COLUMN realtime.presences.meta IS 'What it says of itself, with phx_ref, as it is sent.';

COMMENT ON CONSTRAINT presences_meta_fits ON realtime.presences IS
'Track a payload of at most 16 KiB.';

-- Serves the reading of whole topics.
CREATE INDEX presences_topic_idx ON realtime.presences (topic);

ALTER TABLE realtime.presences ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.device_presence ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.device_connections ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.announced_presence ENABLE ROW LEVEL SECURITY;

CREATE POLICY device_presence_select_own ON roost.device_presence
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

-- A device speaks for itself alone.
CREATE POLICY device_presence_insert_own ON roost.device_presence
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

CREATE POLICY device_presence_update_own ON roost.device_presence
FOR UPDATE TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

GRANT SELECT, INSERT ON roost.device_presence TO roost_api;

GRANT UPDATE (status, activity, last_seen, updated_at) ON roost.device_presence TO roost_api;

CREATE POLICY device_connections_select_own ON roost.device_connections
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

GRANT SELECT ON roost.device_connections TO roost_api;

CREATE POLICY announced_presence_select_own ON roost.announced_presence
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

GRANT SELECT ON roost.announced_presence TO roost_api;

-- A device of one's own in what the functions about presence answer.
CREATE TYPE roost.present_device AS (
    device_id uuid,
    status roost.presence_status,
    activity text,
    connected boolean,
    last_seen timestamptz
);

-- What set_presence, get_presence and list_presence answer.
CREATE TYPE roost.presence AS (
    user_id uuid,
    status roost.presence_status,
    activity text,
    last_seen timestamptz,
    devices roost.present_device ARRAY
);

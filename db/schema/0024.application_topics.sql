-- depends: 0023.device_cursors
-- Topics of applications: who may use them, and ephemeral events that no notification can carry.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

UPDATE roost.error_codes
SET meaning = 'The caller may not join this topic, or not send that to it.'
WHERE code = 'RO401';

-- Clients name events from now on.
COMMENT ON CONSTRAINT events_event_is_a_name ON realtime.events IS
'Name an event with 1 to 100 small letters, digits, _, . and -, beginning with a letter.';

-- The rule is kept by its name and not as regprocedure: a column of that type keeps a database from
-- being upgraded by pg_upgrade, and would hold another number in a restored one.
CREATE TABLE realtime.topic_prefixes (
    prefix text PRIMARY KEY,
    rule_schema text NOT NULL,
    rule_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT topic_prefixes_prefix_is_a_name CHECK (prefix ~ '^[a-z][a-z0-9_-]{0,49}$'),
    CONSTRAINT topic_prefixes_prefix_is_not_reserved CHECK (
        prefix NOT IN (
            'app', 'conversation', 'device', 'phoenix', 'project', 'realtime', 'user', 'workspace'
        )
    )
);

COMMENT ON TABLE realtime.topic_prefixes IS
'Topics of applications, <prefix>:<name>, and the function that says who may do what in them.
Written by realtime.register_topic_prefix.';

COMMENT ON COLUMN realtime.topic_prefixes.prefix IS 'What is before the first colon of a topic.';

COMMENT ON COLUMN realtime.topic_prefixes.rule_schema IS 'Schema of the rule.';

COMMENT ON COLUMN realtime.topic_prefixes.rule_name IS
'Name of the rule: it takes topic and action, both text, and answers a boolean.';

COMMENT ON COLUMN realtime.topic_prefixes.created_at IS 'When the prefix was registered.';

COMMENT ON CONSTRAINT topic_prefixes_prefix_is_a_name ON realtime.topic_prefixes IS
'Name a prefix of 1 to 50 small letters, digits, - and _, which begins with a letter.';

COMMENT ON CONSTRAINT topic_prefixes_prefix_is_not_reserved ON realtime.topic_prefixes IS
'Choose another prefix: this one is Roost''s own.';

-- Of no worth after a crash, so not logged. A random part in the id: a sequence would give out
-- again after a crash what an older line still names.
CREATE UNLOGGED TABLE realtime.large_broadcasts (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    topic text NOT NULL,
    event text NOT NULL,
    payload json,
    raw bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT large_broadcasts_topic_is_short CHECK (char_length(topic) BETWEEN 1 AND 255),
    CONSTRAINT large_broadcasts_event_is_short CHECK (char_length(event) BETWEEN 1 AND 255),
    CONSTRAINT large_broadcasts_one_payload CHECK (num_nonnulls(payload, raw) = 1),
    CONSTRAINT large_broadcasts_payload_is_bounded CHECK (octet_length(payload::text) <= 1048576),
    CONSTRAINT large_broadcasts_raw_is_bounded CHECK (octet_length(raw) <= 1048576)
);

-- Read once by each server and deleted: to compress them is not worth it.
ALTER TABLE realtime.large_broadcasts ALTER COLUMN payload SET STORAGE EXTERNAL;

ALTER TABLE realtime.large_broadcasts ALTER COLUMN raw SET STORAGE EXTERNAL;

COMMENT ON TABLE realtime.large_broadcasts IS
'Ephemeral events that are too large for a notification, for as long as servers need to read them.';

COMMENT ON COLUMN realtime.large_broadcasts.id IS 'Time-ordered identifier, which the line names.';

COMMENT ON COLUMN realtime.large_broadcasts.topic IS 'The topic.';

COMMENT ON COLUMN realtime.large_broadcasts.event IS 'What happened.';

COMMENT ON COLUMN realtime.large_broadcasts.payload IS
'What whoever is live gets; empty where it is bytes.';

COMMENT ON COLUMN realtime.large_broadcasts.raw IS 'The same where it is bytes and not JSON.';

COMMENT ON COLUMN realtime.large_broadcasts.created_at IS
'When the sending transaction began; a minute later it may go.';

COMMENT ON CONSTRAINT large_broadcasts_topic_is_short ON realtime.large_broadcasts IS
'Name a topic with 1 to 255 characters.';

COMMENT ON CONSTRAINT large_broadcasts_event_is_short ON realtime.large_broadcasts IS
'Name an event with 1 to 255 characters.';

COMMENT ON CONSTRAINT large_broadcasts_one_payload ON realtime.large_broadcasts IS
'Send either a payload or bytes.';

COMMENT ON CONSTRAINT large_broadcasts_payload_is_bounded ON realtime.large_broadcasts IS
'Send at most 1 MiB; store what is larger and send its id.';

COMMENT ON CONSTRAINT large_broadcasts_raw_is_bounded ON realtime.large_broadcasts IS
'Send at most 1 MiB; store what is larger and send its id.';

-- Finds those that may go.
CREATE INDEX large_broadcasts_created_at_idx ON realtime.large_broadcasts (created_at);

-- Beside the log and not in it: only what a client gave an id to is looked up by one, and no key of
-- a partitioned table could hold an id once for all days.
CREATE TABLE realtime.client_event_ids (
    actor_id uuid NOT NULL,
    id uuid NOT NULL,
    topic text NOT NULL,
    event_offset bigint NOT NULL,
    request_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT client_event_ids_pkey PRIMARY KEY (actor_id, id)
);

COMMENT ON TABLE realtime.client_event_ids IS
'Events that clients published under an id of their own, so that each is published once, however
often it is sent. Written by realtime.publish_once; kept for as long as events are.';

COMMENT ON COLUMN realtime.client_event_ids.actor_id IS
'Who published it: an id counts among a person''s own.';

COMMENT ON COLUMN realtime.client_event_ids.id IS 'The id that the client has made.';

COMMENT ON COLUMN realtime.client_event_ids.topic IS 'The topic.';

COMMENT ON COLUMN realtime.client_event_ids.event_offset IS 'The event''s offset in it.';

COMMENT ON COLUMN realtime.client_event_ids.request_hash IS
'SHA-256 of what was sent, to know the same request again.';

COMMENT ON COLUMN realtime.client_event_ids.created_at IS 'When it was published.';

-- Finds those that are past retention.
CREATE INDEX client_event_ids_created_at_idx ON realtime.client_event_ids (created_at);

ALTER TABLE realtime.client_event_ids ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.topic_prefixes ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.large_broadcasts ENABLE ROW LEVEL SECURITY;

-- What publish_event answers: where the event is in its topic.
CREATE TYPE roost.published_event AS (
    topic text,
    "offset" bigint,
    epoch text
);

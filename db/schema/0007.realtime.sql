-- depends: 0006.sessions
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- History is lost for all topics at once (a database restored from a backup), so the epoch belongs
-- to the log. A cursor of another epoch is answered with must_refetch.
CREATE TABLE realtime.log (
    is_the_only_row boolean PRIMARY KEY DEFAULT true
    CONSTRAINT log_has_one_row CHECK (is_the_only_row),
    epoch text NOT NULL
);

COMMENT ON TABLE realtime.log IS 'The event log as a whole: one row.';

COMMENT ON COLUMN realtime.log.is_the_only_row IS 'Keeps the table at one row.';

COMMENT ON COLUMN realtime.log.epoch IS
'Changes when events that clients may have seen are lost, as after restoring a backup.';

INSERT INTO realtime.log (epoch) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12));

-- The row gives out the topic's offsets. Its lock is held to the end of the writer's transaction,
-- so within a topic the order of offsets is the order of commits, without gaps; topics do not wait
-- for each other. A conversation's own row does this for conversation:<id>, so it has none here.
CREATE TABLE realtime.topics (
    topic text PRIMARY KEY,
    last_offset bigint NOT NULL DEFAULT 0,
    CONSTRAINT topics_topic_is_a_name CHECK (topic ~ '^[a-z][a-z0-9_-]*:[^[:cntrl:]]{1,200}$'),
    CONSTRAINT topics_last_offset_counts_up CHECK (last_offset >= 0)
) WITH (fillfactor = 50);

COMMENT ON TABLE realtime.topics IS 'Topics and their last offset, but for conversations.';

COMMENT ON COLUMN realtime.topics.topic IS 'user:<id>, device:<id>, and the like.';

COMMENT ON COLUMN realtime.topics.last_offset IS 'Offset of the newest event; 0 before the first.';

-- Partitioned by day and dropped by partition.
CREATE TABLE realtime.events (
    id uuid NOT NULL DEFAULT roost.uuid_v7(),
    topic text NOT NULL,
    event_offset bigint NOT NULL,
    event text NOT NULL,
    payload json NOT NULL,
    actor_id uuid,
    device_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT events_pkey PRIMARY KEY (topic, event_offset, created_at),
    CONSTRAINT events_event_is_a_name CHECK (event ~ '^[a-z][a-z0-9_.-]{0,99}$')
) PARTITION BY RANGE (created_at);

COMMENT ON TABLE realtime.events IS
'What happened, per topic in order. Written by realtime.publish.';

COMMENT ON COLUMN realtime.events.id IS 'Time-ordered identifier, sent as meta.id.';

COMMENT ON COLUMN realtime.events.topic IS 'Topic, such as conversation:<id>.';

COMMENT ON COLUMN realtime.events.event_offset IS 'Position within the topic: 1, 2, 3 and so on.';

COMMENT ON COLUMN realtime.events.event IS 'What happened, such as message.created.';

COMMENT ON COLUMN realtime.events.payload IS
'What subscribers get. json, not jsonb: it is only ever passed on as it was written.';

COMMENT ON COLUMN realtime.events.actor_id IS 'Who did it; empty for the system.';

COMMENT ON COLUMN realtime.events.device_id IS 'On which device; empty for the system.';

COMMENT ON COLUMN realtime.events.created_at IS 'When the writing transaction began.';

-- Takes what comes when nobody has made the day's partition, so that a write never fails for that.
-- Only what is in here is ever deleted row by row.
CREATE TABLE realtime.events_default PARTITION OF realtime.events DEFAULT;

COMMENT ON TABLE realtime.events_default IS
'Events of days without a partition. They stay here until they are past retention.';

ALTER TABLE realtime.log ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.topics ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.events_default ENABLE ROW LEVEL SECURITY;

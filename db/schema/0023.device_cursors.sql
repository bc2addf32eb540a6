-- depends: 0022.message_feedback
-- How far each device has got in each topic, as it has said itself: it comes back from there.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Written again and again in place: the room is for that.
CREATE TABLE roost.device_cursors (
    device_id uuid NOT NULL REFERENCES roost.devices (id) ON DELETE CASCADE,
    topic text NOT NULL,
    epoch text NOT NULL,
    acknowledged bigint,
    heard_since pg_snapshot,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT device_cursors_pkey PRIMARY KEY (device_id, topic),
    CONSTRAINT device_cursors_topic_is_short CHECK (char_length(topic) <= 255),
    CONSTRAINT device_cursors_acknowledged_is_an_offset CHECK (acknowledged >= 0),
    CONSTRAINT device_cursors_says_something
    CHECK (acknowledged IS NOT NULL OR heard_since IS NOT NULL)
)
WITH (fillfactor = 80);

COMMENT ON TABLE roost.device_cursors IS
'How far a device has got in a topic: it has everything up to there.';

COMMENT ON COLUMN roost.device_cursors.device_id IS 'The device.';

COMMENT ON COLUMN roost.device_cursors.topic IS 'The topic.';

COMMENT ON COLUMN roost.device_cursors.epoch IS 'Epoch of the log that the offset is of.';

COMMENT ON COLUMN roost.device_cursors.acknowledged IS
'Offset of the last event that the device has acknowledged; it only moves forward within an epoch.
Empty for an inbox of which it has acknowledged nothing but what is heard in it.';

COMMENT ON COLUMN roost.device_cursors.heard_since IS
'Of an inbox: the snapshot of the join from which on the device is to have everything. It has all of
a topic that it has never acknowledged up to there. It does not move within an epoch.';

COMMENT ON COLUMN roost.device_cursors.updated_at IS 'When it moved.';

-- For a topic that goes.
CREATE INDEX device_cursors_topic_idx ON roost.device_cursors (topic);

ALTER TABLE roost.device_cursors ENABLE ROW LEVEL SECURITY;

CREATE POLICY device_cursors_select_own ON roost.device_cursors
FOR SELECT TO roost_api
USING (device_id = (SELECT roost.current_device_id()));

CREATE POLICY device_cursors_insert_own ON roost.device_cursors
FOR INSERT TO roost_api
WITH CHECK (device_id = (SELECT roost.current_device_id()));

CREATE POLICY device_cursors_update_own ON roost.device_cursors
FOR UPDATE TO roost_api
USING (device_id = (SELECT roost.current_device_id()));

GRANT SELECT, INSERT ON roost.device_cursors TO roost_api;

GRANT UPDATE (epoch, acknowledged, heard_since, updated_at) ON roost.device_cursors TO roost_api;

-- What acknowledge_events and list_device_cursors answer.
CREATE TYPE roost.device_cursor AS (
    topic text,
    epoch text,
    acknowledged bigint,
    updated_at timestamptz
);

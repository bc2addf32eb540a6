-- depends: 0024.application_topics
-- What a person wants to get, on which device.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

CREATE TYPE roost.event_delivery AS ENUM ('all', 'silent', 'none');

CREATE TABLE roost.event_subscriptions (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    device_id uuid,
    topic text,
    event text,
    delivery roost.event_delivery NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_subscriptions_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    -- Guards the same rule that is set twice at once, from two devices: of one case there is one
    -- answer. Serves what is read of a person, and both foreign keys.
    CONSTRAINT event_subscriptions_one_for_each_case
    UNIQUE NULLS NOT DISTINCT (user_id, device_id, topic, event),
    CONSTRAINT event_subscriptions_topic_is_a_name
    CHECK (topic ~ '^[a-z][a-z0-9_-]*:[^[:cntrl:]]{1,200}$' AND char_length(topic) <= 255),
    CONSTRAINT event_subscriptions_event_is_a_name_or_a_family
    CHECK (event ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,99}([.][*])?$')
);

COMMENT ON TABLE roost.event_subscriptions IS
'Which events a person wants on which device. The rule that says most about its case decides: see
realtime.get_subscriptions. What no rule is about is delivered.';

COMMENT ON COLUMN roost.event_subscriptions.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.event_subscriptions.user_id IS 'Whose rule it is.';

COMMENT ON COLUMN roost.event_subscriptions.device_id IS
'The device that it is for; empty for all of them.';

COMMENT ON COLUMN roost.event_subscriptions.topic IS 'The topic; empty for all of them.';

COMMENT ON COLUMN roost.event_subscriptions.event IS
'Name of the event, or message.* for all whose name begins with message. and so on; empty for all.';

COMMENT ON COLUMN roost.event_subscriptions.delivery IS
'all: delivered. silent: delivered, marked as nothing to draw attention to. none: not delivered.';

COMMENT ON COLUMN roost.event_subscriptions.created_at IS 'When it was first set.';

COMMENT ON COLUMN roost.event_subscriptions.updated_at IS 'When it last changed.';

COMMENT ON CONSTRAINT event_subscriptions_topic_is_a_name ON roost.event_subscriptions IS
'Send a topic such as conversation:<id>, or leave it out for all topics.';

COMMENT ON CONSTRAINT event_subscriptions_event_is_a_name_or_a_family
ON roost.event_subscriptions IS
'Send the name of an event, such as message.created, or a family, such as message.*, or leave it
out for all events.';

ALTER TABLE roost.event_subscriptions ENABLE ROW LEVEL SECURITY;

CREATE POLICY event_subscriptions_select_own ON roost.event_subscriptions
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY event_subscriptions_insert_own ON roost.event_subscriptions
FOR INSERT TO roost_api
WITH CHECK (user_id = (SELECT roost.current_user_id()));

CREATE POLICY event_subscriptions_update_own ON roost.event_subscriptions
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()))
WITH CHECK (user_id = (SELECT roost.current_user_id()));

CREATE POLICY event_subscriptions_delete_own ON roost.event_subscriptions
FOR DELETE TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

GRANT SELECT, INSERT, DELETE, UPDATE (delivery) ON roost.event_subscriptions TO roost_api;

-- What the functions about event subscriptions answer.
CREATE TYPE roost.event_subscription AS (
    id uuid,
    device_id uuid,
    topic text,
    event text,
    delivery roost.event_delivery,
    created_at timestamptz,
    updated_at timestamptz
);

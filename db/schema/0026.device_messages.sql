-- depends: 0025.event_subscriptions
-- A queue for each device of a person, which their devices put messages into.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

INSERT INTO roost.error_codes (code, name, http_status, meaning) VALUES
('RO205', 'device_queue_full', 409, 'As much as may be waits for the device.');

CREATE TYPE roost.device_message_state AS ENUM ('waiting', 'acknowledged', 'cancelled', 'expired');

-- Whoever writes here has the rows of both devices locked, in the order of their ids; who does what
-- with which lock is in roost.finish_device_messages.
CREATE TABLE roost.device_messages (
    -- Guards the same id sent at once from two devices; from one, its own row does that.
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL,
    from_device_id uuid NOT NULL,
    to_device_id uuid NOT NULL,
    number bigint NOT NULL,
    message_type text NOT NULL,
    payload roost.json_object NOT NULL DEFAULT '{}',
    reply_to uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- With the person, so that both are devices of one.
    CONSTRAINT device_messages_from_device_fkey
    FOREIGN KEY (from_device_id, user_id) REFERENCES roost.devices (id, user_id)
    ON DELETE CASCADE,
    CONSTRAINT device_messages_to_device_fkey
    FOREIGN KEY (to_device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    -- Serves the foreign key, the list of what waits, and the count of it without the rows.
    CONSTRAINT device_messages_to_device_number_key
    UNIQUE (to_device_id, user_id, number) INCLUDE (expires_at),
    CONSTRAINT device_messages_number_counts_up CHECK (number >= 1),
    CONSTRAINT device_messages_message_type_is_a_name
    CHECK (message_type ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    CONSTRAINT device_messages_expires_within_30_days
    CHECK (expires_at - created_at BETWEEN interval '1 second' AND interval '30 days')
);

COMMENT ON TABLE roost.device_messages IS
'Messages from device to device of one person that wait to be acknowledged.';

COMMENT ON COLUMN roost.device_messages.id IS
'Time-ordered identifier, or one that the client has made.';

COMMENT ON COLUMN roost.device_messages.user_id IS 'Whose devices they are.';

COMMENT ON COLUMN roost.device_messages.from_device_id IS 'The device that sent it.';

COMMENT ON COLUMN roost.device_messages.to_device_id IS 'The device that it waits for.';

COMMENT ON COLUMN roost.device_messages.number IS
'Place in the queue: the offset of its device_message.created on device:<to_device_id>.';

COMMENT ON COLUMN roost.device_messages.message_type IS
'What it is, such as command.run; the names are the clients''.';

COMMENT ON COLUMN roost.device_messages.payload IS 'What it says.';

COMMENT ON COLUMN roost.device_messages.reply_to IS
'Id of the message that it answers, which may be gone; empty when it answers none.';

COMMENT ON COLUMN roost.device_messages.created_at IS 'When it was sent.';

COMMENT ON COLUMN roost.device_messages.expires_at IS 'When it goes unless it is acknowledged.';

COMMENT ON CONSTRAINT device_messages_pkey ON roost.device_messages IS
'Make a new id for each message, at random.';

COMMENT ON CONSTRAINT device_messages_message_type_is_a_name ON roost.device_messages IS
'Send a type of at most 64 characters: a letter, then letters, digits, dots, dashes and
underscores, all in lower case.';

COMMENT ON CONSTRAINT device_messages_expires_within_30_days ON roost.device_messages IS
'Send ttl_seconds from 1 to 2592000, which is 30 days.';

-- Serves the foreign key.
CREATE INDEX device_messages_from_device_idx ON roost.device_messages (from_device_id, user_id);

-- Serves roost.expire_device_messages.
CREATE INDEX device_messages_expires_at_idx ON roost.device_messages (expires_at);

-- Nothing of what they said. For 7 days, as events are kept: a sender that was cut off before the
-- answer, and sends again what has been carried out meanwhile, must not have it carried out twice.
CREATE TABLE roost.device_message_outcomes (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    from_device_id uuid NOT NULL,
    to_device_id uuid NOT NULL,
    number bigint NOT NULL,
    state roost.device_message_state NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    -- Serves the foreign key too.
    CONSTRAINT device_message_outcomes_pkey PRIMARY KEY (from_device_id, user_id, id),
    CONSTRAINT device_message_outcomes_from_device_fkey
    FOREIGN KEY (from_device_id, user_id) REFERENCES roost.devices (id, user_id)
    ON DELETE CASCADE,
    CONSTRAINT device_message_outcomes_state_is_final CHECK (state <> 'waiting')
);

COMMENT ON TABLE roost.device_message_outcomes IS
'What became of messages that wait no longer, for 7 days; for the device that sent them.';

COMMENT ON COLUMN roost.device_message_outcomes.id IS 'The message.';

COMMENT ON COLUMN roost.device_message_outcomes.user_id IS 'Whose devices they are.';

COMMENT ON COLUMN roost.device_message_outcomes.from_device_id IS 'The device that sent it.';

COMMENT ON COLUMN roost.device_message_outcomes.to_device_id IS 'The device that it waited for.';

COMMENT ON COLUMN roost.device_message_outcomes.number IS 'Its place in that device''s queue.';

COMMENT ON COLUMN roost.device_message_outcomes.state IS 'acknowledged, cancelled or expired.';

COMMENT ON COLUMN roost.device_message_outcomes.created_at IS 'When it was sent.';

COMMENT ON COLUMN roost.device_message_outcomes.expires_at IS 'How long it could have waited.';

COMMENT ON COLUMN roost.device_message_outcomes.finished_at IS 'When it ceased to wait.';

-- Serves roost.expire_device_messages.
CREATE INDEX device_message_outcomes_finished_at_idx
ON roost.device_message_outcomes (finished_at);

ALTER TABLE roost.device_messages ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.device_message_outcomes ENABLE ROW LEVEL SECURITY;

-- The two devices and no other of the same person.
CREATE POLICY device_messages_select_own ON roost.device_messages
FOR SELECT TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    AND (SELECT roost.current_device_id()) IN (to_device_id, from_device_id)
);

CREATE POLICY device_messages_insert_own ON roost.device_messages
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND from_device_id = (SELECT roost.current_device_id())
);

CREATE POLICY device_message_outcomes_select_own ON roost.device_message_outcomes
FOR SELECT TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    AND from_device_id = (SELECT roost.current_device_id())
);

-- They go by roost.finish_device_messages alone.
GRANT SELECT, INSERT ON roost.device_messages TO roost_api;

GRANT SELECT ON roost.device_message_outcomes TO roost_api;

-- What the functions about device messages answer, and the event device_message.created carries.
CREATE TYPE roost.device_message AS (
    id uuid,
    from_device_id uuid,
    to_device_id uuid,
    number bigint,
    state roost.device_message_state,
    message_type text,
    payload jsonb,
    reply_to uuid,
    created_at timestamptz,
    expires_at timestamptz
);

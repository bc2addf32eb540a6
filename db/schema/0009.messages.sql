-- depends: 0008.conversations
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

CREATE DOMAIN roost.message_content AS jsonb
    CONSTRAINT message_content_is_an_object CHECK (jsonb_typeof(VALUE) = 'object')
    CONSTRAINT message_content_fits_256_kib CHECK (roost.json_fits(VALUE, 262144));

COMMENT ON DOMAIN roost.message_content IS
'Content of a message: a JSON object of at most 256 KiB, as text.';

COMMENT ON CONSTRAINT message_content_is_an_object ON DOMAIN roost.message_content IS
'Send content as a JSON object, such as {"text": "hello"}.';

COMMENT ON CONSTRAINT message_content_fits_256_kib ON DOMAIN roost.message_content IS
'Send at most 256 KiB of content; larger things are attachments.';

CREATE TABLE roost.messages (
    id uuid NOT NULL DEFAULT roost.uuid_v7(),
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    device_id uuid REFERENCES roost.devices (id) ON DELETE SET NULL,
    message_type text NOT NULL DEFAULT 'text',
    content roost.message_content NOT NULL,
    metadata roost.json_object NOT NULL DEFAULT '{}',
    parent_message_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Guards a client-made id that is sent twice, or that another conversation already has.
    CONSTRAINT messages_pkey PRIMARY KEY (id),
    CONSTRAINT messages_conversation_id_fkey
    FOREIGN KEY (conversation_id) REFERENCES roost.conversations (id) ON DELETE CASCADE,
    -- Serves both directions of list_messages.
    CONSTRAINT messages_conversation_seq_key UNIQUE (conversation_id, seq),
    -- Makes the next constraint possible: an answer stays in the conversation of its question.
    CONSTRAINT messages_conversation_id_key UNIQUE (conversation_id, id),
    CONSTRAINT messages_parent_is_in_the_conversation
    FOREIGN KEY (conversation_id, parent_message_id)
    REFERENCES roost.messages (conversation_id, id) ON DELETE SET NULL (parent_message_id),
    CONSTRAINT messages_message_type_is_a_name CHECK (message_type ~ '^[a-z][a-z0-9_.-]{0,63}$')
);

COMMENT ON TABLE roost.messages IS 'Messages of conversations.';

COMMENT ON COLUMN roost.messages.id IS
'Time-ordered identifier, made by the client or the database.';

COMMENT ON COLUMN roost.messages.conversation_id IS 'The conversation.';

COMMENT ON COLUMN roost.messages.seq IS
'Place in the conversation, rising; also the offset of its message.created event.';

COMMENT ON COLUMN roost.messages.user_id IS 'Who wrote it.';

COMMENT ON COLUMN roost.messages.device_id IS 'On which device.';

COMMENT ON COLUMN roost.messages.message_type IS 'Kind of content, such as text.';

COMMENT ON COLUMN roost.messages.content IS 'Content, an object.';

COMMENT ON COLUMN roost.messages.metadata IS 'Free data of the client.';

COMMENT ON COLUMN roost.messages.parent_message_id IS 'The message that this one answers.';

COMMENT ON COLUMN roost.messages.created_at IS 'When it was sent.';

COMMENT ON COLUMN roost.messages.updated_at IS 'When the row last changed.';

COMMENT ON CONSTRAINT messages_pkey ON roost.messages IS
'Make a new id for a new message.';

COMMENT ON CONSTRAINT messages_message_type_is_a_name ON roost.messages IS
'Send a type in lower case, such as text or code.snippet, of at most 64 characters.';

COMMENT ON CONSTRAINT messages_parent_is_in_the_conversation ON roost.messages IS
'Send the id of a message of the same conversation as parent_message_id.';

-- A person's messages, newest first; serves the foreign key too.
CREATE INDEX messages_user_id_created_at_idx ON roost.messages (user_id, created_at DESC);

-- These two serve foreign keys.
CREATE INDEX messages_device_id_idx ON roost.messages (device_id);

CREATE INDEX messages_parent_idx ON roost.messages (conversation_id, parent_message_id)
WHERE parent_message_id IS NOT NULL;

ALTER TABLE roost.messages ENABLE ROW LEVEL SECURITY;

CREATE POLICY messages_select_participant ON roost.messages
FOR SELECT TO roost_api
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = messages.conversation_id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY messages_insert_member ON roost.messages
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = messages.conversation_id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
    ) >= 'member'
);

GRANT SELECT, INSERT ON roost.messages TO roost_api;

-- What send_message and list_messages answer, and what message.created carries.
CREATE TYPE roost.message AS (
    id uuid,
    conversation_id uuid,
    seq bigint,
    user_id uuid,
    device_id uuid,
    message_type text,
    content jsonb,
    metadata jsonb,
    parent_message_id uuid,
    created_at timestamptz,
    updated_at timestamptz
);

-- depends: 0011.conversation_lifecycle
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Constraints are added without a look at the rows that are there, none of which was ever deleted
-- or edited: while this transaction lasts nobody gets at messages. They are looked at later.
ALTER TABLE roost.messages
ADD COLUMN number bigint NOT NULL DEFAULT 0,
ADD COLUMN change_seq bigint NOT NULL DEFAULT 0,
ADD COLUMN root_message_id uuid,
ADD COLUMN parent_seq bigint,
ADD COLUMN root_seq bigint,
ADD COLUMN reply_count bigint NOT NULL DEFAULT 0,
ADD COLUMN version bigint NOT NULL DEFAULT 1,
ADD COLUMN mentions uuid[] NOT NULL DEFAULT '{}',
ADD COLUMN attachments jsonb NOT NULL DEFAULT '[]',
ADD COLUMN reactions jsonb NOT NULL DEFAULT '[]',
ADD COLUMN edited_at timestamptz,
ADD COLUMN deleted_at timestamptz,
ADD COLUMN deleted_by uuid,
ADD COLUMN purged_at timestamptz,
ADD COLUMN request_hash bytea,
ADD CONSTRAINT messages_version_counts_up CHECK (version >= 1) NOT VALID,
ADD CONSTRAINT messages_deleted_has_no_content CHECK (
    deleted_at IS NULL
    OR (
        content = '{}' AND metadata = '{}' AND mentions = '{}' AND attachments = '[]'
        AND reactions = '[]'
    )
) NOT VALID,
ADD CONSTRAINT messages_purged_is_deleted
CHECK (purged_at IS NULL OR deleted_at IS NOT NULL) NOT VALID,
ADD CONSTRAINT messages_attachments_is_a_list
CHECK (jsonb_typeof(attachments) = 'array') NOT VALID,
ADD CONSTRAINT messages_root_is_in_the_conversation
FOREIGN KEY (conversation_id, root_message_id)
REFERENCES roost.messages (conversation_id, id) ON DELETE SET NULL (root_message_id) NOT VALID;

COMMENT ON COLUMN roost.messages.number IS
'How many messages the conversation had with it, counted since release 0.2.0; 0 before.';

COMMENT ON COLUMN roost.messages.change_seq IS
'Offset of the newest event that changed it: its own, an edit, a deletion, a reply, a reaction. 0
for a message from before release 0.2.0 that nothing has changed since.';

COMMENT ON COLUMN roost.messages.root_message_id IS
'The message that began the thread which this one replies in; empty outside of threads.';

COMMENT ON COLUMN roost.messages.parent_seq IS
'Seq of the message that it answers. It stays when that has expired, which its id does not.';

COMMENT ON COLUMN roost.messages.root_seq IS
'Seq of the message that began the thread; it stays as well.';

COMMENT ON COLUMN roost.messages.reply_count IS
'How many messages reply in the thread that it began, deleted ones included.';

COMMENT ON COLUMN roost.messages.version IS 'Rises with every edit, deletion and restoration.';

COMMENT ON COLUMN roost.messages.mentions IS 'User ids of the participants whom it mentions.';

COMMENT ON COLUMN roost.messages.attachments IS
'Its rows of message_attachments as clients get them, in order.';

COMMENT ON COLUMN roost.messages.reactions IS
'Summary of its rows of message_reactions as clients get it.';

COMMENT ON COLUMN roost.messages.edited_at IS 'When its content last changed; empty if never.';

COMMENT ON COLUMN roost.messages.deleted_at IS
'When it was deleted; what it had is then in message_changes alone, or gone.';

COMMENT ON COLUMN roost.messages.deleted_by IS 'Who deleted it.';

COMMENT ON COLUMN roost.messages.purged_at IS
'When its content was deleted for good; empty while it can be restored.';

COMMENT ON COLUMN roost.messages.request_hash IS
'SHA-256 of what was sent with a client-made id, to know the same request again after an edit.';

COMMENT ON CONSTRAINT messages_root_is_in_the_conversation ON roost.messages IS
'Send the id of a message of the same conversation as parent_message_id.';

CREATE TYPE roost.message_change_type AS ENUM (
    'created', 'updated', 'deleted', 'restored', 'purged'
);

-- What a message was before each change. What it was afterwards is what it was before the next one,
-- or what it is now, so the same content is not stored again. Rows come and go with the message by
-- triggers: a foreign key would look the message up again each time, which is a sixth of what it
-- costs to send one.
CREATE TABLE roost.message_changes (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    message_id uuid NOT NULL,
    change_type roost.message_change_type NOT NULL,
    version bigint NOT NULL,
    before jsonb,
    user_id uuid,
    device_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Serves the history of a conversation in order.
    CONSTRAINT message_changes_pkey PRIMARY KEY (conversation_id, seq),
    -- Serves the history of a message.
    CONSTRAINT message_changes_message_id_seq_key UNIQUE (message_id, seq),
    CONSTRAINT message_changes_before_is_an_object CHECK (jsonb_typeof(before) = 'object')
);

COMMENT ON TABLE roost.message_changes IS
'What happened to messages, in the order of the conversation. Written by a trigger.';

COMMENT ON COLUMN roost.message_changes.conversation_id IS 'The conversation.';

COMMENT ON COLUMN roost.message_changes.seq IS 'Offset of the event that told of the change.';

COMMENT ON COLUMN roost.message_changes.message_id IS
'The message; it takes its changes with it when it goes.';

COMMENT ON COLUMN roost.message_changes.change_type IS 'What happened.';

COMMENT ON COLUMN roost.message_changes.version IS 'The version that the change made.';

COMMENT ON COLUMN roost.message_changes.before IS
'{"content", "metadata"} before the change; empty for a message that had none, or has been purged.';

COMMENT ON COLUMN roost.message_changes.user_id IS 'Who did it; empty for the system.';

COMMENT ON COLUMN roost.message_changes.device_id IS 'On which device; empty for the system.';

COMMENT ON COLUMN roost.message_changes.created_at IS 'When it happened.';

CREATE TABLE roost.message_attachments (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    message_id uuid NOT NULL REFERENCES roost.messages (id) ON DELETE CASCADE,
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    place bigint NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 text,
    file_id uuid,
    url text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT message_attachments_message_id_place_key UNIQUE (message_id, place),
    CONSTRAINT message_attachments_name_is_a_file_name
    CHECK (name ~ '^[^/[:cntrl:]]{1,255}$'),
    CONSTRAINT message_attachments_media_type_is_one
    CHECK (media_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,99}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}$'),
    CONSTRAINT message_attachments_size_is_not_negative CHECK (size >= 0),
    CONSTRAINT message_attachments_sha256_is_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT message_attachments_url_is_http
    CHECK (url ~ '^https?://[^[:space:][:cntrl:]]+$' AND char_length(url) <= 2000),
    CONSTRAINT message_attachments_is_somewhere CHECK (num_nonnulls(file_id, url) = 1),
    CONSTRAINT message_attachments_file_has_a_sha256 CHECK (file_id IS NULL OR sha256 IS NOT NULL)
);

COMMENT ON TABLE roost.message_attachments IS
'What is attached to messages: files stored here, or addresses elsewhere.';

COMMENT ON COLUMN roost.message_attachments.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.message_attachments.message_id IS 'The message.';

COMMENT ON COLUMN roost.message_attachments.conversation_id IS 'Its conversation.';

COMMENT ON COLUMN roost.message_attachments.seq IS 'Its message''s seq.';

COMMENT ON COLUMN roost.message_attachments.place IS 'Place within the message: 1, 2, 3.';

COMMENT ON COLUMN roost.message_attachments.name IS 'File name, at most 255 characters.';

COMMENT ON COLUMN roost.message_attachments.media_type IS 'Such as image/png.';

COMMENT ON COLUMN roost.message_attachments.size IS 'Bytes.';

COMMENT ON COLUMN roost.message_attachments.sha256 IS
'SHA-256 of the content, hexadecimal; may be empty for an address elsewhere.';

COMMENT ON COLUMN roost.message_attachments.file_id IS 'Id of a stored file.';

COMMENT ON COLUMN roost.message_attachments.url IS 'Address elsewhere.';

COMMENT ON COLUMN roost.message_attachments.created_at IS 'When it was attached.';

COMMENT ON CONSTRAINT message_attachments_name_is_a_file_name ON roost.message_attachments IS
'Send a name of 1 to 255 characters without a slash.';

COMMENT ON CONSTRAINT message_attachments_media_type_is_one ON roost.message_attachments IS
'Send a media type in lower case, such as image/png.';

COMMENT ON CONSTRAINT message_attachments_size_is_not_negative ON roost.message_attachments IS
'Send the size in bytes.';

COMMENT ON CONSTRAINT message_attachments_sha256_is_hex ON roost.message_attachments IS
'Send SHA-256 as 64 hexadecimal digits in lower case.';

COMMENT ON CONSTRAINT message_attachments_url_is_http ON roost.message_attachments IS
'Send an address that begins with https:// or http://, of at most 2000 characters.';

COMMENT ON CONSTRAINT message_attachments_is_somewhere ON roost.message_attachments IS
'Send either file_id or url.';

COMMENT ON CONSTRAINT message_attachments_file_has_a_sha256 ON roost.message_attachments IS
'Send the sha256 of a stored file.';

-- A conversation's attachments, newest first.
CREATE INDEX message_attachments_conversation_idx
ON roost.message_attachments (conversation_id, seq DESC, place);

CREATE TABLE roost.message_reactions (
    message_id uuid NOT NULL REFERENCES roost.messages (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    reaction text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Guards the same reaction that is sent twice at once, from two devices.
    CONSTRAINT message_reactions_pkey PRIMARY KEY (message_id, user_id, reaction),
    CONSTRAINT message_reactions_reaction_is_short
    CHECK (reaction ~ '^[^[:space:][:cntrl:]]{1,32}$')
);

COMMENT ON TABLE roost.message_reactions IS 'Who reacted to which message, and how.';

COMMENT ON COLUMN roost.message_reactions.message_id IS 'The message.';

COMMENT ON COLUMN roost.message_reactions.user_id IS 'Who reacted.';

COMMENT ON COLUMN roost.message_reactions.reaction IS 'An emoji, or a name such as :ship:.';

COMMENT ON COLUMN roost.message_reactions.created_at IS 'When.';

COMMENT ON CONSTRAINT message_reactions_reaction_is_short ON roost.message_reactions IS
'Send an emoji or a name, of 1 to 32 characters without spaces.';

-- Serves the foreign key.
CREATE INDEX message_reactions_user_id_idx ON roost.message_reactions (user_id);

CREATE TABLE roost.message_mentions (
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    message_id uuid NOT NULL REFERENCES roost.messages (id) ON DELETE CASCADE,
    conversation_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT message_mentions_pkey PRIMARY KEY (user_id, message_id)
);

COMMENT ON TABLE roost.message_mentions IS
'Who is mentioned where: messages.mentions the other way round. Kept by a trigger.';

COMMENT ON COLUMN roost.message_mentions.user_id IS 'Who is mentioned.';

COMMENT ON COLUMN roost.message_mentions.message_id IS 'Where.';

COMMENT ON COLUMN roost.message_mentions.conversation_id IS
'The message''s, so that a list passes over what the person may no longer read without reading it.';

COMMENT ON COLUMN roost.message_mentions.created_at IS 'When the message was sent.';

-- A person's mentions, newest first. With the conversation, so that those in conversations they
-- have left are passed over in the index alone.
CREATE INDEX message_mentions_newest_idx
ON roost.message_mentions (user_id, created_at DESC, message_id DESC) INCLUDE (conversation_id);

-- Serves the foreign key.
CREATE INDEX message_mentions_message_id_idx ON roost.message_mentions (message_id);

-- Of no worth after a crash, so not logged.
CREATE UNLOGGED TABLE roost.typing_indicators (
    conversation_id uuid NOT NULL REFERENCES roost.conversations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    device_id uuid NOT NULL REFERENCES roost.devices (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    CONSTRAINT typing_indicators_pkey PRIMARY KEY (conversation_id, user_id, device_id)
);

COMMENT ON TABLE roost.typing_indicators IS 'Who is typing where, for some seconds.';

COMMENT ON COLUMN roost.typing_indicators.conversation_id IS 'The conversation.';

COMMENT ON COLUMN roost.typing_indicators.user_id IS 'Who types.';

COMMENT ON COLUMN roost.typing_indicators.device_id IS 'On which device.';

COMMENT ON COLUMN roost.typing_indicators.expires_at IS 'When it is over, unless it is set again.';

-- These two serve foreign keys.
CREATE INDEX typing_indicators_user_id_idx ON roost.typing_indicators (user_id);

CREATE INDEX typing_indicators_device_id_idx ON roost.typing_indicators (device_id);

ALTER TABLE roost.message_changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.message_attachments ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.message_reactions ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.message_mentions ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.typing_indicators ENABLE ROW LEVEL SECURITY;

ALTER POLICY messages_select_participant ON roost.messages
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = messages.conversation_id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
            AND NOT participant.suspended
            AND participant.history_after_seq < messages.seq
    ) IS NOT NULL
);

ALTER POLICY messages_insert_member ON roost.messages
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = messages.conversation_id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
            AND NOT participant.suspended
    ) >= (
        SELECT allowed.least_role
        FROM roost.conversation_permissions AS allowed
        WHERE allowed.permission = CASE message_type
            WHEN 'system' THEN 'message.send_system' ELSE 'message.send'
        END
    )
);

-- Authors change their own, who may delete any deletes and restores them; that nobody writes words
-- into somebody else's message is the trigger messages_guard. What reactions and replies change in
-- a row is written by triggers.
CREATE POLICY messages_update_author_or_admin ON roost.messages
FOR UPDATE TO roost_api
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = messages.conversation_id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
            AND NOT participant.suspended
            AND participant.history_after_seq < messages.seq
    ) >= (
        SELECT min(allowed.least_role)
        FROM roost.conversation_permissions AS allowed
        WHERE (
                user_id = (SELECT roost.current_user_id())
                AND allowed.permission IN ('message.edit_own', 'message.delete_own')
            )
            OR allowed.permission = 'message.delete_any'
    )
);

GRANT UPDATE (content, metadata, deleted_at, purged_at) ON roost.messages TO roost_api;

-- All else is in a new message as it is by default, or written by triggers.
REVOKE INSERT ON roost.messages FROM roost_api;

GRANT INSERT (
    id, conversation_id, seq, number, change_seq, user_id, device_id, message_type, content,
    metadata, parent_message_id, attachments, request_hash
) ON roost.messages TO roost_api;

-- The policies below look at the message as the caller sees it: what hides it hides these as well.
-- Row by row through its key: of EXISTS the planner may make a list of all messages first.
CREATE POLICY message_changes_select_participant ON roost.message_changes
FOR SELECT TO roost_api
USING (
    (
        SELECT message.id FROM roost.messages AS message
        WHERE message.id = message_changes.message_id
    ) IS NOT NULL
);

-- Without before: content that was deleted is read by functions of the owner alone.
GRANT SELECT (
    conversation_id, seq, message_id, change_type, version, user_id, device_id, created_at
) ON roost.message_changes TO roost_api;

CREATE POLICY message_attachments_select_participant ON roost.message_attachments
FOR SELECT TO roost_api
USING (
    (
        SELECT message.id FROM roost.messages AS message
        WHERE message.id = message_attachments.message_id AND message.deleted_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY message_attachments_insert_author ON roost.message_attachments
FOR INSERT TO roost_api
WITH CHECK (
    EXISTS (
        SELECT FROM roost.messages AS message
        WHERE message.id = message_attachments.message_id
            AND message.conversation_id = message_attachments.conversation_id
            AND message.seq = message_attachments.seq
            AND message.user_id = (SELECT roost.current_user_id())
            -- What was sent with it and nothing later.
            AND message.attachments
            @> jsonb_build_array(jsonb_build_object('id', message_attachments.id))
    )
);

GRANT SELECT ON roost.message_attachments TO roost_api;

GRANT INSERT (
    id, message_id, conversation_id, seq, place, name, media_type, size, sha256, file_id, url
) ON roost.message_attachments TO roost_api;

CREATE POLICY message_reactions_select_participant ON roost.message_reactions
FOR SELECT TO roost_api
USING (
    (
        SELECT message.id FROM roost.messages AS message
        WHERE message.id = message_reactions.message_id AND message.deleted_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY message_reactions_insert_own ON roost.message_reactions
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND (
        SELECT message.id
        FROM roost.messages AS message
        JOIN roost.conversations AS conversation ON conversation.id = message.conversation_id
        JOIN roost.conversation_permissions AS allowed ON allowed.permission = 'message.react'
        WHERE message.id = message_reactions.message_id
            AND message.deleted_at IS NULL
            AND roost.conversation_role(message.conversation_id) >= allowed.least_role
            AND (allowed.in_archive OR conversation.archived_at IS NULL)
    ) IS NOT NULL
);

CREATE POLICY message_reactions_delete_own ON roost.message_reactions
FOR DELETE TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    AND (
        SELECT message.id
        FROM roost.messages AS message
        JOIN roost.conversations AS conversation ON conversation.id = message.conversation_id
        JOIN roost.conversation_permissions AS allowed ON allowed.permission = 'message.react'
        WHERE message.id = message_reactions.message_id
            AND message.deleted_at IS NULL
            AND roost.conversation_role(message.conversation_id) >= allowed.least_role
            AND (allowed.in_archive OR conversation.archived_at IS NULL)
    ) IS NOT NULL
);

GRANT SELECT, INSERT, DELETE ON roost.message_reactions TO roost_api;

CREATE POLICY message_mentions_select_own ON roost.message_mentions
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

GRANT SELECT ON roost.message_mentions TO roost_api;

CREATE POLICY typing_indicators_select_participant ON roost.typing_indicators
FOR SELECT TO roost_api
USING (roost.conversation_role(conversation_id) IS NOT NULL);

CREATE POLICY typing_indicators_insert_own ON roost.typing_indicators
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
    AND roost.conversation_role(conversation_id) >= (
        SELECT allowed.least_role
        FROM roost.conversation_permissions AS allowed
        WHERE allowed.permission = 'message.send'
    )
    AND NOT EXISTS (
        SELECT FROM roost.conversations AS conversation
        WHERE conversation.id = typing_indicators.conversation_id
            AND conversation.archived_at IS NOT NULL
    )
    AND expires_at <= now() + interval '6 seconds'
);

CREATE POLICY typing_indicators_update_own ON roost.typing_indicators
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()))
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND expires_at <= now() + interval '6 seconds'
);

CREATE POLICY typing_indicators_delete_own ON roost.typing_indicators
FOR DELETE TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

GRANT SELECT, INSERT, DELETE ON roost.typing_indicators TO roost_api;

GRANT UPDATE (expires_at) ON roost.typing_indicators TO roost_api;

ALTER TYPE roost.message ADD ATTRIBUTE root_message_id uuid;

ALTER TYPE roost.message ADD ATTRIBUTE reply_count bigint;

ALTER TYPE roost.message ADD ATTRIBUTE version bigint;

ALTER TYPE roost.message ADD ATTRIBUTE mentions uuid[];

ALTER TYPE roost.message ADD ATTRIBUTE attachments jsonb;

ALTER TYPE roost.message ADD ATTRIBUTE reactions jsonb;

ALTER TYPE roost.message ADD ATTRIBUTE edited_at timestamptz;

ALTER TYPE roost.message ADD ATTRIBUTE deleted_at timestamptz;

ALTER TYPE roost.message ADD ATTRIBUTE purged_at timestamptz;

ALTER TYPE roost.message ADD ATTRIBUTE change_seq bigint;

ALTER TYPE roost.message ADD ATTRIBUTE parent_seq bigint;

ALTER TYPE roost.message ADD ATTRIBUTE root_seq bigint;

-- What list_message_changes and list_conversation_changes answer.
CREATE TYPE roost.message_change AS (
    conversation_id uuid,
    seq bigint,
    message_id uuid,
    change_type roost.message_change_type,
    version bigint,
    before jsonb,
    after jsonb,
    user_id uuid,
    device_id uuid,
    created_at timestamptz
);

-- Messages of before this release get their thread and their row of message_changes afterwards, in
-- batches, in the order of the index that lists a conversation.
CREATE TABLE roost.message_backfill (
    is_the_only_row boolean PRIMARY KEY DEFAULT true
    CONSTRAINT message_backfill_has_one_row CHECK (is_the_only_row),
    conversation_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    seq bigint NOT NULL DEFAULT 0,
    finished_at timestamptz
);

COMMENT ON TABLE roost.message_backfill IS
'How far roost.backfill_messages has come: one row.';

COMMENT ON COLUMN roost.message_backfill.is_the_only_row IS 'Keeps the table at one row.';

COMMENT ON COLUMN roost.message_backfill.conversation_id IS
'Conversation of the last message seen.';

COMMENT ON COLUMN roost.message_backfill.seq IS 'Its seq.';

COMMENT ON COLUMN roost.message_backfill.finished_at IS 'When all were seen; empty until then.';

INSERT INTO roost.message_backfill DEFAULT VALUES;

ALTER TABLE roost.message_backfill ENABLE ROW LEVEL SECURITY;

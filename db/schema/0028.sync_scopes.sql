-- depends: 0027.device_presence
-- How far each device has the state of what its person may read, and what tells of every thing when
-- it last changed. The offsets of a topic are given out under a row lock that is held to the
-- commit, so nothing is ever committed below one that somebody has read.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

ALTER TABLE roost.users
ADD COLUMN change_seq bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN roost.users.change_seq IS
'Offset of the newest event in the person''s inbox that told of a change of the account; 0 before
the first.';

ALTER TABLE roost.devices
ADD COLUMN change_seq bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN roost.devices.change_seq IS
'Offset of the newest event in the person''s inbox that told of it; 0 before the first.';

-- In no index: every message moves its author's marker, and the row with it.
ALTER TABLE roost.conversation_participants
ADD COLUMN change_seq bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN roost.conversation_participants.change_seq IS
'Offset of the newest event that changed them or their markers; 0 for who was there from the
start.';

GRANT UPDATE (change_seq) ON roost.conversation_participants TO roost_api;

ALTER TABLE roost.conversations
ADD COLUMN expired_seq bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN roost.conversations.expired_seq IS
'Messages up to this seq went because of their age.';

ALTER TABLE roost.conversations
ADD COLUMN removed_seq bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN roost.conversations.removed_seq IS
'Offset of the newest event that told of somebody or of messages that are gone without a trace, as
with an account: a device that was here before it reads the conversation anew.';

ALTER TABLE realtime.topics
ADD COLUMN removed_offset bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN realtime.topics.removed_offset IS
'Offset of the newest event that told of something that is gone without a trace: a device that was
here before it reads the state of the topic anew.';

-- Written again and again in place: the room is for that.
CREATE TABLE roost.sync_scopes (
    device_id uuid NOT NULL REFERENCES roost.devices (id) ON DELETE CASCADE,
    scope text NOT NULL,
    epoch text NOT NULL,
    position bigint NOT NULL,
    from_seq bigint NOT NULL,
    to_seq bigint NOT NULL,
    held_count bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sync_scopes_pkey PRIMARY KEY (device_id, scope),
    CONSTRAINT sync_scopes_scope_is_short CHECK (char_length(scope) <= 255),
    CONSTRAINT sync_scopes_counts_up CHECK (
        position >= -1 AND from_seq >= 0 AND to_seq >= 0 AND held_count >= 0
    )
)
WITH (fillfactor = 80);

COMMENT ON TABLE roost.sync_scopes IS
'What a device has of each scope, by its own acknowledgement: pull_changes goes on from there. A row
stays when the person may not read the scope any more, until the device has taken that in.';

COMMENT ON COLUMN roost.sync_scopes.device_id IS 'The device.';

COMMENT ON COLUMN roost.sync_scopes.scope IS 'The scope, which is a topic.';

COMMENT ON COLUMN roost.sync_scopes.epoch IS 'Epoch of the log that the offsets are of.';

COMMENT ON COLUMN roost.sync_scopes.position IS
'The device has everything that changed up to this offset, of what it has at all; -1 before the
beginning.';

COMMENT ON COLUMN roost.sync_scopes.from_seq IS
'Of a conversation: the device has all messages from this seq on that the person sees.';

COMMENT ON COLUMN roost.sync_scopes.to_seq IS
'Of a conversation: up to this seq; later ones come next.';

COMMENT ON COLUMN roost.sync_scopes.held_count IS
'Of a conversation: how many messages it has got, for a device that wants the newest few alone.';

COMMENT ON COLUMN roost.sync_scopes.updated_at IS 'When it moved.';

ALTER TABLE roost.sync_scopes ENABLE ROW LEVEL SECURITY;

CREATE POLICY sync_scopes_select_own ON roost.sync_scopes
FOR SELECT TO roost_api
USING (device_id = (SELECT roost.current_device_id()));

CREATE POLICY sync_scopes_insert_own ON roost.sync_scopes
FOR INSERT TO roost_api
WITH CHECK (device_id = (SELECT roost.current_device_id()));

CREATE POLICY sync_scopes_update_own ON roost.sync_scopes
FOR UPDATE TO roost_api
USING (device_id = (SELECT roost.current_device_id()));

CREATE POLICY sync_scopes_delete_own ON roost.sync_scopes
FOR DELETE TO roost_api
USING (device_id = (SELECT roost.current_device_id()));

GRANT SELECT, INSERT, DELETE ON roost.sync_scopes TO roost_api;

GRANT UPDATE (epoch, position, from_seq, to_seq, held_count, updated_at)
ON roost.sync_scopes TO roost_api;

-- What pull_changes has to do for one scope.
CREATE TYPE roost.sync_step AS (
    scope text,
    stage bigint,
    last_offset bigint,
    visible_after bigint,
    position bigint,
    from_seq bigint,
    to_seq bigint,
    held_count bigint
);

-- One thing of a scope, as it is now. size is about what it takes in a page, in bytes.
CREATE TYPE roost.scope_change AS (
    kind text,
    op text,
    id uuid,
    change_offset bigint,
    seq bigint,
    size bigint,
    value json
);

-- What pull_changes answers.
CREATE TYPE roost.pulled_changes AS (
    changes json,
    cursor text,
    has_more boolean,
    progress json
);

-- What verify_scope answers.
CREATE TYPE roost.verified_scope AS (
    scope text,
    last_offset bigint,
    is_same boolean,
    differing text [],
    changed text []
);

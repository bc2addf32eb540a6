-- depends: 0010.event_visibility
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

INSERT INTO roost.error_codes (code, name, http_status, meaning) VALUES
('RO203', 'conversation_archived', 409, 'The conversation is archived, and takes nothing new.'),
('RO204', 'owner_required', 409, 'The owner stays: a conversation always has exactly one.'),
(
    'RO303', 'version_conflict', 409,
    'It was changed since the version that the call is based on; details has it as it is now.'
),
('RO304', 'content_deleted', 409, 'The message was deleted, so it can''t be changed.'),
('RO305', 'content_purged', 410, 'It was deleted for good, and nothing brings it back.'),
('RO501', 'extension_missing', 501, 'The database lacks an extension that the call needs.');

-- What a role may do. Functions and policies read it here, and docs/reference/roles.md is written
-- from it.
CREATE TABLE roost.conversation_permissions (
    permission text PRIMARY KEY CONSTRAINT conversation_permissions_permission_is_a_name
    CHECK (permission ~ '^[a-z]+[.][a-z_]+$'),
    least_role roost.participant_role NOT NULL,
    in_archive boolean NOT NULL,
    meaning text NOT NULL
);

COMMENT ON TABLE roost.conversation_permissions IS
'Which role a participant needs for what: the one list that functions, policies and docs follow.';

COMMENT ON COLUMN roost.conversation_permissions.permission IS 'What is done, as subject.verb.';

COMMENT ON COLUMN roost.conversation_permissions.least_role IS
'The lowest role that may; those above may too.';

COMMENT ON COLUMN roost.conversation_permissions.in_archive IS
'Whether it may be done while the conversation is archived.';

COMMENT ON COLUMN roost.conversation_permissions.meaning IS 'What it allows, in one sentence.';

INSERT INTO roost.conversation_permissions (permission, least_role, in_archive, meaning) VALUES
(
    'conversation.read', 'viewer', true,
    'Read messages, participants, receipts and analytics, search, and join the topic.'
),
('conversation.leave', 'viewer', true, 'Leave; the owner hands the conversation over first.'),
('conversation.update', 'admin', false, 'Change title, path, metadata and language.'),
('conversation.archive', 'admin', true, 'Archive it, and take it out of the archive.'),
('conversation.retain', 'owner', true, 'Say for how long messages are kept.'),
(
    'conversation.delete', 'owner', true,
    'Delete it, restore it within 30 days, or delete it for good.'
),
('conversation.transfer', 'owner', true, 'Make another participant the owner.'),
('participant.add', 'admin', false, 'Add people, in a role below one''s own.'),
('participant.remove', 'admin', true, 'Remove people whose role is below one''s own.'),
(
    'participant.change_role', 'admin', true,
    'Change roles below one''s own, to roles below one''s own.'
),
('message.send', 'member', false, 'Send messages, reply, and show that one is typing.'),
('message.send_system', 'admin', false, 'Send messages of the type system.'),
('message.react', 'member', false, 'React to messages, and take reactions back.'),
('message.edit_own', 'member', false, 'Edit one''s own messages.'),
(
    'message.delete_own', 'member', true,
    'Delete one''s own messages, also for good, and restore those that one deleted oneself.'
),
(
    'message.delete_any', 'admin', true,
    'Delete anybody''s messages, also for good, and restore them.'
),
('receipt.mark', 'viewer', true, 'Mark messages as delivered and read.');

ALTER TABLE roost.conversation_permissions ENABLE ROW LEVEL SECURITY;

CREATE POLICY conversation_permissions_select_all ON roost.conversation_permissions
FOR SELECT TO roost_api
USING (true);

GRANT SELECT ON roost.conversation_permissions TO roost_api;

ALTER TABLE roost.conversations
ADD COLUMN search_language text NOT NULL DEFAULT 'simple'
CONSTRAINT conversations_search_language_is_known CHECK (
    search_language IN (
        'simple', 'arabic', 'armenian', 'basque', 'catalan', 'danish', 'dutch', 'english',
        'finnish', 'french', 'german', 'greek', 'hindi', 'hungarian', 'indonesian', 'irish',
        'italian', 'lithuanian', 'nepali', 'norwegian', 'portuguese', 'romanian', 'russian',
        'serbian', 'spanish', 'swedish', 'tamil', 'turkish', 'yiddish'
    )
),
ADD COLUMN retention_days bigint
CONSTRAINT conversations_retention_days_in_range CHECK (retention_days BETWEEN 1 AND 36500),
ADD COLUMN archived_at timestamptz,
ADD COLUMN deleted_at timestamptz,
ADD COLUMN purged_at timestamptz
CONSTRAINT conversations_purged_is_deleted CHECK (purged_at IS NULL OR deleted_at IS NOT NULL),
ADD COLUMN last_number bigint NOT NULL DEFAULT 0
CONSTRAINT conversations_last_number_counts_up CHECK (last_number >= 0),
ADD COLUMN expired_number bigint NOT NULL DEFAULT 0
CONSTRAINT conversations_expired_number_in_range
CHECK (expired_number BETWEEN 0 AND last_number);

COMMENT ON COLUMN roost.conversations.user_id IS 'Its owner; at first, who opened it.';

COMMENT ON COLUMN roost.conversations.search_language IS
'Text search configuration of its messages.';

COMMENT ON COLUMN roost.conversations.retention_days IS
'For how many days messages are kept; empty for ever.';

COMMENT ON COLUMN roost.conversations.archived_at IS 'When it was archived; empty when it is not.';

COMMENT ON COLUMN roost.conversations.deleted_at IS
'When it was deleted; empty while it is there. Nobody reads it then, but the owner sees that it can
be restored.';

COMMENT ON COLUMN roost.conversations.purged_at IS
'When its owner deleted it for good: nobody sees it, and its rows go in batches.';

COMMENT ON COLUMN roost.conversations.updated_at IS
'When what the conversation is last changed, as opposed to who and what is in it.';

COMMENT ON COLUMN roost.conversations.last_number IS
'Number of the newest message. Counts messages since release 0.2.0; a participant''s unread
messages are those above their read_number and above expired_number.';

COMMENT ON COLUMN roost.conversations.expired_number IS
'Number of the newest message that went because of its age.';

COMMENT ON CONSTRAINT conversations_search_language_is_known ON roost.conversations IS
'Send simple, or a language that PostgreSQL knows, such as english.';

COMMENT ON CONSTRAINT conversations_retention_days_in_range ON roost.conversations IS
'Send 1 to 36500 days, or null to keep messages for ever.';

ALTER TABLE roost.conversation_participants
ADD COLUMN history_after_seq bigint NOT NULL DEFAULT 0
CONSTRAINT conversation_participants_history_after_seq_counts_up CHECK (history_after_seq >= 0),
ADD COLUMN last_read_seq bigint NOT NULL DEFAULT 0
CONSTRAINT conversation_participants_last_read_seq_counts_up CHECK (last_read_seq >= 0),
ADD COLUMN last_delivered_seq bigint NOT NULL DEFAULT 0
CONSTRAINT conversation_participants_read_is_delivered CHECK (last_delivered_seq >= last_read_seq),
ADD COLUMN read_number bigint NOT NULL DEFAULT 0
CONSTRAINT conversation_participants_read_number_counts_up CHECK (read_number >= 0),
ADD COLUMN suspended boolean NOT NULL DEFAULT false,
ADD COLUMN mention_name text COLLATE "C";

-- Markers move often. They are in no index, so with room on the page no index is written.
ALTER TABLE roost.conversation_participants SET (fillfactor = 70);

COMMENT ON COLUMN roost.conversation_participants.role IS
'viewer, member, admin or owner; roost.conversation_permissions says who may do what.';

COMMENT ON COLUMN roost.conversation_participants.history_after_seq IS
'They see what came after this seq: 0 for all, else the newest when they, or who added them, were
added.';

COMMENT ON COLUMN roost.conversation_participants.last_read_seq IS
'They have read everything up to this seq. Moves forward only.';

COMMENT ON COLUMN roost.conversation_participants.last_delivered_seq IS
'A device of theirs has everything up to this seq. Moves forward only.';

COMMENT ON COLUMN roost.conversation_participants.read_number IS
'Number of the newest message at last_read_seq, or the last one given out when no message came
after; what is unread is counted from here.';

COMMENT ON COLUMN roost.conversation_participants.suspended IS
'The conversation is deleted: they take part, and see nothing. Kept by a trigger.';

COMMENT ON COLUMN roost.conversation_participants.mention_name IS
'Their display name without case and accents, as it is looked up after an @. Kept by triggers; empty
from before release 0.2.0 until roost.backfill_participants has come to it.';

-- The caller's role, NULL also in a deleted conversation.
CREATE OR REPLACE FUNCTION roost.conversation_role(p_conversation_id uuid)
RETURNS roost.participant_role
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT participant.role
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = p_conversation_id
        AND participant.user_id = (SELECT roost.current_user_id())
        AND participant.left_at IS NULL
        AND NOT participant.suspended;
$$;

-- The owner sees it also when it is deleted, to restore it.
ALTER POLICY conversations_select_participant ON roost.conversations
USING (
    (user_id = (SELECT roost.current_user_id()) AND purged_at IS NULL)
    OR (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = conversations.id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
            AND NOT participant.suspended
    ) IS NOT NULL
);

-- Whoever may send may: a message takes its number from this row. That it does no more is guarded
-- by conversations_guard_counts, what else is in the row by conversations_guard, since a policy
-- can't tell columns apart.
ALTER POLICY conversations_update_member ON roost.conversations
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = conversations.id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
            AND NOT participant.suspended
    ) >= (
        SELECT allowed.least_role
        FROM roost.conversation_permissions AS allowed
        WHERE allowed.permission = 'message.send'
    )
    OR (
        deleted_at IS NOT NULL
        AND purged_at IS NULL
        AND user_id = (SELECT roost.current_user_id())
    )
)
WITH CHECK (true);

ALTER POLICY conversation_participants_insert_admin ON roost.conversation_participants
WITH CHECK (
    (
        role < roost.conversation_role(conversation_id)
        AND roost.conversation_role(conversation_id) >= (
            SELECT allowed.least_role
            FROM roost.conversation_permissions AS allowed
            WHERE allowed.permission = 'participant.add'
        )
    )
    OR (
        role = 'owner'
        AND user_id = (SELECT roost.current_user_id())
        AND roost.is_unowned_conversation(conversation_id)
    )
);

-- Rows of lower rank, rows of people who have left, and one's own: to mark as read, to leave, to
-- hand over. Nobody comes out above what they were, and only the owner makes an owner; that there
-- is one is conversation_participants_one_owner, that nobody widens what they see themselves is
-- conversation_participants_guard, whose markers they move and how far is
-- conversation_participants_guard_markers. The role that is asked for is the one before the
-- statement.
ALTER POLICY conversation_participants_update_admin ON roost.conversation_participants
USING (
    user_id = (SELECT roost.current_user_id())
    OR (
        (left_at IS NOT NULL OR role < roost.conversation_role(conversation_id))
        AND roost.conversation_role(conversation_id) >= (
            SELECT min(allowed.least_role)
            FROM roost.conversation_permissions AS allowed
            WHERE allowed.permission IN (
                'participant.add', 'participant.remove', 'participant.change_role'
            )
        )
    )
)
WITH CHECK (
    CASE
        WHEN user_id = (SELECT roost.current_user_id())
            THEN role <= roost.conversation_role(conversation_id)
        ELSE role < roost.conversation_role(conversation_id)
            OR roost.conversation_role(conversation_id) = 'owner'
    END
);

-- Without purged_at and expired_number: what can't be undone is done by functions of the owner.
GRANT UPDATE (
    user_id, title, workspace_path, metadata, search_language, retention_days, archived_at,
    deleted_at, last_number
) ON roost.conversations TO roost_api;

GRANT UPDATE (history_after_seq, last_read_seq, last_delivered_seq, read_number)
ON roost.conversation_participants TO roost_api;

-- All else is in a new row as it is by default: nothing begins with a past.
REVOKE INSERT ON roost.conversations, roost.conversation_participants FROM roost_api;

GRANT INSERT (id, user_id, title, workspace_path, metadata) ON roost.conversations TO roost_api;

GRANT INSERT (
    conversation_id, user_id, role, history_after_seq, last_read_seq, last_delivered_seq,
    read_number
) ON roost.conversation_participants TO roost_api;

ALTER TYPE roost.conversation ADD ATTRIBUTE search_language text;

ALTER TYPE roost.conversation ADD ATTRIBUTE retention_days bigint;

ALTER TYPE roost.conversation ADD ATTRIBUTE archived_at timestamptz;

ALTER TYPE roost.conversation ADD ATTRIBUTE deleted_at timestamptz;

ALTER TYPE roost.conversation ADD ATTRIBUTE last_read_seq bigint;

ALTER TYPE roost.conversation ADD ATTRIBUTE last_delivered_seq bigint;

ALTER TYPE roost.conversation ADD ATTRIBUTE unread_count bigint;

ALTER TYPE roost.conversation ADD ATTRIBUTE last_message roost.message;

ALTER TYPE roost.participant ADD ATTRIBUTE left_at timestamptz;

ALTER TYPE roost.participant ADD ATTRIBUTE last_read_seq bigint;

ALTER TYPE roost.participant ADD ATTRIBUTE last_delivered_seq bigint;

-- What the events conversation.* carry: of roost.conversation, what is the same for everybody.
CREATE TYPE roost.shared_conversation AS (
    id uuid,
    user_id uuid,
    title text,
    workspace_path text,
    metadata jsonb,
    search_language text,
    retention_days bigint,
    archived_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

-- What mark_read and mark_delivered answer, and the event receipt carries.
CREATE TYPE roost.receipt AS (
    conversation_id uuid,
    user_id uuid,
    last_read_seq bigint,
    last_delivered_seq bigint,
    unread_count bigint
);

-- Which conversations list_conversations lists.
CREATE TYPE roost.conversation_state AS ENUM ('active', 'archived', 'deleted');

-- Whether somebody who is added sees what was written before.
CREATE TYPE roost.history_scope AS ENUM ('all', 'from_now');

-- What get_conversation_analytics and get_my_analytics are made of. Seconds, to the millisecond.
CREATE TYPE roost.response_times AS (
    response_count bigint,
    median numeric,
    mean numeric,
    percentile_95 numeric
);

CREATE TYPE roost.participant_activity AS (
    user_id uuid,
    message_count bigint
);

CREATE TYPE roost.conversation_activity AS (
    conversation_id uuid,
    message_count bigint
);

CREATE TYPE roost.hour_activity AS (
    hour bigint,
    message_count bigint
);

CREATE TYPE roost.day_activity AS (
    day date,
    message_count bigint
);

CREATE TYPE roost.conversation_analytics AS (
    conversation_id uuid,
    from_time timestamptz,
    to_time timestamptz,
    time_zone text,
    message_count bigint,
    participant_count bigint,
    participants roost.participant_activity [],
    response_times roost.response_times,
    hours roost.hour_activity [],
    days roost.day_activity []
);

CREATE TYPE roost.my_analytics AS (
    from_time timestamptz,
    to_time timestamptz,
    time_zone text,
    message_count bigint,
    conversation_count bigint,
    conversations roost.conversation_activity [],
    response_times roost.response_times,
    hours roost.hour_activity [],
    days roost.day_activity []
);

-- depends: 0007.realtime
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

CREATE TABLE roost.conversations (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    title text NOT NULL DEFAULT '',
    workspace_path text NOT NULL DEFAULT '',
    metadata roost.json_object NOT NULL DEFAULT '{}',
    last_seq bigint NOT NULL DEFAULT 0,
    last_activity timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversations_title_fits CHECK (char_length(title) <= 200),
    CONSTRAINT conversations_workspace_path_fits CHECK (char_length(workspace_path) <= 4096),
    CONSTRAINT conversations_last_seq_counts_up CHECK (last_seq >= 0)
)
-- Every message updates its conversation's row. Room on the page, and no index on last_seq or
-- last_activity, keep these updates heap-only: no index is written, and pages clean themselves.
WITH (fillfactor = 50);

COMMENT ON TABLE roost.conversations IS 'Conversations between people and their assistants.';

COMMENT ON COLUMN roost.conversations.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.conversations.user_id IS 'Who opened it.';

COMMENT ON COLUMN roost.conversations.title IS 'Title, at most 200 characters.';

COMMENT ON COLUMN roost.conversations.workspace_path IS
'Folder that it is about, at most 4096 characters.';

COMMENT ON COLUMN roost.conversations.metadata IS 'Free data of the client.';

COMMENT ON COLUMN roost.conversations.last_seq IS
'Last number given out: offset of the newest event of conversation:<id>, and seq of a message.';

COMMENT ON COLUMN roost.conversations.last_activity IS 'When the last message came.';

COMMENT ON COLUMN roost.conversations.created_at IS 'When it was opened.';

COMMENT ON COLUMN roost.conversations.updated_at IS 'When title, path or metadata last changed.';

COMMENT ON CONSTRAINT conversations_title_fits ON roost.conversations IS
'Send a title of at most 200 characters.';

COMMENT ON CONSTRAINT conversations_workspace_path_fits ON roost.conversations IS
'Send a path of at most 4096 characters.';

CREATE INDEX conversations_user_id_idx ON roost.conversations (user_id);

-- In rising order, so that "at least member" is written role >= 'member'.
CREATE TYPE roost.participant_role AS ENUM ('viewer', 'member', 'admin', 'owner');

CREATE TABLE roost.conversation_participants (
    conversation_id uuid NOT NULL REFERENCES roost.conversations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    role roost.participant_role NOT NULL DEFAULT 'member',
    joined_at timestamptz NOT NULL DEFAULT now(),
    left_at timestamptz,
    CONSTRAINT conversation_participants_pkey PRIMARY KEY (conversation_id, user_id)
);

COMMENT ON TABLE roost.conversation_participants IS
'Who takes part in a conversation, and as what.';

COMMENT ON COLUMN roost.conversation_participants.conversation_id IS 'The conversation.';

COMMENT ON COLUMN roost.conversation_participants.user_id IS 'The person.';

COMMENT ON COLUMN roost.conversation_participants.role IS
'viewer reads, member also writes, admin also adds people, owner is who opened it.';

COMMENT ON COLUMN roost.conversation_participants.joined_at IS 'When they were added.';

COMMENT ON COLUMN roost.conversation_participants.left_at IS
'When they left; empty while they take part.';

-- Serves the list of a person's conversations, and the foreign key, which asks for all of them.
CREATE INDEX conversation_participants_user_id_idx
ON roost.conversation_participants (user_id, left_at);

-- The caller's role in a conversation, NULL for an outsider. Runs as the owner, since a policy of
-- conversation_participants that read the table as its own subject would never end.
CREATE FUNCTION roost.conversation_role(p_conversation_id uuid)
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
        AND participant.left_at IS NULL;
$$;

COMMENT ON FUNCTION roost.conversation_role(uuid) IS
'The caller''s role in a conversation, NULL for an outsider.';

-- Lets whoever opens a conversation become its owner, and from then on their role decides. Runs as
-- the owner, since without a participant nobody sees the conversation.
CREATE FUNCTION roost.is_unowned_conversation(p_conversation_id uuid)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM roost.conversations AS conversation
        WHERE conversation.id = p_conversation_id
            AND conversation.user_id = (SELECT roost.current_user_id())
    )
    AND NOT EXISTS (
        SELECT FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = p_conversation_id
    );
$$;

COMMENT ON FUNCTION roost.is_unowned_conversation(uuid) IS
'Whether the caller has just opened a conversation: it is theirs, and nobody takes part yet.';

GRANT EXECUTE ON FUNCTION
    roost.conversation_role(uuid),
    roost.is_unowned_conversation(uuid)
TO roost_api;

ALTER TABLE roost.conversations ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.conversation_participants ENABLE ROW LEVEL SECURITY;

-- The first half is decided by an index lookup in the statement itself; the function is asked only
-- about rows of other people.
CREATE POLICY conversation_participants_select_fellow ON roost.conversation_participants
FOR SELECT TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    OR roost.conversation_role(conversation_id) IS NOT NULL
);

-- The role is looked up for each row through the primary key. Written as EXISTS, the planner may
-- instead collect all conversations of the person first, which grows with every one that they join.
CREATE POLICY conversations_select_participant ON roost.conversations
FOR SELECT TO roost_api
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = conversations.id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
    ) IS NOT NULL
);

CREATE POLICY conversations_insert_own ON roost.conversations
FOR INSERT TO roost_api
WITH CHECK (user_id = (SELECT roost.current_user_id()));

-- Members may: a message takes its number from this row.
CREATE POLICY conversations_update_member ON roost.conversations
FOR UPDATE TO roost_api
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = conversations.id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
    ) >= 'member'
);

-- Admins and the owner give roles below their own. greatest() keeps members, who are above viewers,
-- from giving any. The first row of a conversation is its owner's.
CREATE POLICY conversation_participants_insert_admin ON roost.conversation_participants
FOR INSERT TO roost_api
WITH CHECK (
    greatest(role, 'member') < roost.conversation_role(conversation_id)
    OR (
        role = 'owner'
        AND user_id = (SELECT roost.current_user_id())
        AND roost.is_unowned_conversation(conversation_id)
    )
);

-- Nor do they touch rows of their own rank or above, but for somebody who has left: that row is as
-- good as none.
CREATE POLICY conversation_participants_update_admin ON roost.conversation_participants
FOR UPDATE TO roost_api
USING (
    CASE WHEN left_at IS NULL THEN greatest(role, 'member') ELSE 'member' END
    < roost.conversation_role(conversation_id)
)
WITH CHECK (greatest(role, 'member') < roost.conversation_role(conversation_id));

GRANT SELECT, INSERT ON roost.conversations TO roost_api;

GRANT UPDATE (last_seq, last_activity) ON roost.conversations TO roost_api;

GRANT SELECT, INSERT ON roost.conversation_participants TO roost_api;

GRANT UPDATE (role, joined_at, left_at) ON roost.conversation_participants TO roost_api;

-- What create_conversation and list_conversations answer.
CREATE TYPE roost.conversation AS (
    id uuid,
    user_id uuid,
    title text,
    workspace_path text,
    metadata jsonb,
    role roost.participant_role,
    last_seq bigint,
    last_activity timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

-- What add_participant answers.
CREATE TYPE roost.participant AS (
    conversation_id uuid,
    user_id uuid,
    role roost.participant_role,
    joined_at timestamptz
);

-- depends: 0021.unnamed_index
-- What people do with messages besides writing them: the shapes in which clients get it.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- What add_reaction and remove_reaction answer, and the event reaction carries.
CREATE TYPE roost.reaction_event AS (
    message_id uuid,
    conversation_id uuid,
    seq bigint,
    user_id uuid,
    reaction text,
    added boolean,
    reactions jsonb
);

-- What list_reactions answers.
CREATE TYPE roost.reaction AS (
    message_id uuid,
    user_id uuid,
    reaction text,
    created_at timestamptz
);

-- What list_attachments answers: an attachment as its message has it, and where it is.
CREATE TYPE roost.attachment AS (
    id uuid,
    conversation_id uuid,
    message_id uuid,
    seq bigint,
    place bigint,
    user_id uuid,
    name text,
    media_type text,
    size bigint,
    sha256 text,
    file_id uuid,
    url text,
    created_at timestamptz
);

-- What list_readers answers.
CREATE TYPE roost.reader AS (
    message_id uuid,
    user_id uuid,
    has_read boolean
);

CREATE TYPE roost.unread_count AS (
    conversation_id uuid,
    unread_count bigint
);

-- What get_unread_counts answers.
CREATE TYPE roost.unread_counts AS (
    total bigint,
    conversations roost.unread_count ARRAY
);

-- What set_typing and list_typing answer, and the event typing carries.
CREATE TYPE roost.typing AS (
    conversation_id uuid,
    user_id uuid,
    device_id uuid,
    typing boolean,
    expires_at timestamptz
);

-- depends: 0012.message_lifecycle
SET LOCAL search_path = pg_catalog, pg_temp;

-- For words that were typed wrongly. Other applications may have the extension already, in any
-- schema. What Roost made is marked in its comment, so that a rollback removes that and no more.
DO $$
DECLARE
    v_schema regnamespace;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_extension AS extension WHERE extension.extname = 'pg_trgm'
    ) THEN
        CREATE EXTENSION pg_trgm WITH SCHEMA extensions;
        COMMENT ON EXTENSION pg_trgm IS 'Similarity of words. Made by Roost.';
    END IF;

    SELECT extension.extnamespace
    INTO STRICT v_schema
    FROM pg_catalog.pg_extension AS extension
    WHERE extension.extname = 'pg_trgm';

    -- As with citext: a hardened database may open nothing to others.
    IF NOT pg_catalog.has_schema_privilege('roost_owner', v_schema::oid, 'USAGE')
        OR NOT pg_catalog.has_function_privilege(
            'roost_owner',
            pg_catalog.format('%s.similarity(text, text)', v_schema)::regprocedure::oid,
            'EXECUTE'
        )
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'The extension pg_trgm is not open to Roost',
            DETAIL = pg_catalog.format(
                'By default this database opens nothing to others. Let a superuser run CREATE'
                ' EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA %1$s; GRANT USAGE ON SCHEMA %1$s TO'
                ' roost_owner; GRANT EXECUTE ON FUNCTION %1$s.similarity(text, text) TO'
                ' roost_owner;',
                v_schema
            ),
            HINT = 'Do what the detail says, and start again.';
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'The extension pg_trgm can''t be made here',
            DETAIL = pg_catalog.format(
                '%s. Install PostgreSQL''s contrib package on the server, which many systems call'
                ' postgresql-contrib, and let a superuser run CREATE EXTENSION pg_trgm WITH SCHEMA'
                ' extensions;',
                SQLERRM
            ),
            HINT = 'Do what the detail says, and start again.';
END;
$$;

SET LOCAL ROLE roost_owner;

-- Places in the order of time: a search reads back from the newest. Messages from before this
-- release have the places up to their number, and get them from roost.search_place().
CREATE SEQUENCE roost.message_search_places AS bigint;

CREATE TABLE roost.message_search_index (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    place bigint NOT NULL,
    created_at timestamptz NOT NULL,
    vector tsvector NOT NULL,
    CONSTRAINT message_search_index_pkey PRIMARY KEY (conversation_id, seq)
)
-- A long message's vector stays in the row as it is: to fetch and unpack it elsewhere takes longer
-- than all else that a search does with it.
WITH (toast_tuple_target = 8160);

COMMENT ON TABLE roost.message_search_index IS
'What each message is found by: a row for each that is there and has text. Kept by triggers, without
a foreign key: that would lock the message once more for each that is sent.';

COMMENT ON COLUMN roost.message_search_index.conversation_id IS 'The message''s conversation.';

COMMENT ON COLUMN roost.message_search_index.seq IS 'The message''s seq.';

COMMENT ON COLUMN roost.message_search_index.place IS
'Place in the order of time, about: later messages have higher ones.';

COMMENT ON COLUMN roost.message_search_index.created_at IS 'When the message was sent.';

COMMENT ON COLUMN roost.message_search_index.vector IS
'Its words, and the marks that filters look for: see roost.search_vector.';

CREATE INDEX message_search_index_place_idx ON roost.message_search_index (place);

-- The list of what is still to be put in its place is short: every search reads all of it.
CREATE INDEX message_search_index_vector_idx ON roost.message_search_index USING gin (vector)
WITH (fastupdate = on, gin_pending_list_limit = 1024);

CREATE TABLE roost.search_history (
    is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT search_history_is_only CHECK (is_only),
    messages bigint NOT NULL,
    oldest timestamptz NOT NULL,
    newest timestamptz NOT NULL
);

COMMENT ON TABLE roost.search_history IS
'What was there before the search: one row, from which these messages get their places.';

COMMENT ON COLUMN roost.search_history.is_only IS 'Keeps it one row.';

COMMENT ON COLUMN roost.search_history.messages IS 'How many messages there were.';

COMMENT ON COLUMN roost.search_history.oldest IS 'When the first of them was sent.';

COMMENT ON COLUMN roost.search_history.newest IS 'When this was written.';

INSERT INTO roost.search_history (messages, oldest, newest)
SELECT count(*), coalesce(min(message.created_at), now()), now()
FROM roost.messages AS message;

SELECT setval('roost.message_search_places', history.messages + 1, false)
FROM roost.search_history AS history;

CREATE TABLE roost.search_queue (
    conversation_id uuid PRIMARY KEY,
    before_seq bigint NOT NULL
);

COMMENT ON TABLE roost.search_queue IS
'Conversations whose messages are to be indexed anew, by roost.index_messages().';

COMMENT ON COLUMN roost.search_queue.conversation_id IS 'The conversation.';

COMMENT ON COLUMN roost.search_queue.before_seq IS 'Those before this seq are still to be done.';

INSERT INTO roost.search_queue (conversation_id, before_seq)
SELECT conversation.id, conversation.last_seq + 1
FROM roost.conversations AS conversation
WHERE conversation.last_seq > 0;

CREATE TABLE roost.message_embeddings (
    message_id uuid NOT NULL REFERENCES roost.messages (id) ON DELETE CASCADE,
    model text NOT NULL,
    dimensions bigint NOT NULL GENERATED ALWAYS AS (cardinality(embedding)) STORED,
    embedding real[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT message_embeddings_pkey PRIMARY KEY (message_id, model),
    CONSTRAINT message_embeddings_model_is_a_name
    CHECK (model ~ '^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}$'),
    CONSTRAINT message_embeddings_embedding_is_a_vector CHECK (
        array_ndims(embedding) = 1
        AND cardinality(embedding) <= 4096
        AND array_position(embedding, NULL) IS NULL
        AND NOT embedding && '{NaN, Infinity, -Infinity}'
    ),
    CONSTRAINT message_embeddings_embedding_has_a_direction CHECK (0 <> ANY (embedding))
);

COMMENT ON TABLE roost.message_embeddings IS
'What messages mean, as clients'' models have it. Goes when a message is edited or deleted.';

COMMENT ON COLUMN roost.message_embeddings.message_id IS 'The message.';

COMMENT ON COLUMN roost.message_embeddings.model IS
'The model that made it: only those of one model can be compared.';

COMMENT ON COLUMN roost.message_embeddings.dimensions IS 'How many numbers it has.';

COMMENT ON COLUMN roost.message_embeddings.embedding IS 'The numbers.';

COMMENT ON COLUMN roost.message_embeddings.created_at IS 'When it was supplied.';

COMMENT ON CONSTRAINT message_embeddings_model_is_a_name ON roost.message_embeddings IS
'Send the name of the model, of at most 100 letters, digits and _.:/-';

COMMENT ON CONSTRAINT message_embeddings_embedding_is_a_vector ON roost.message_embeddings IS
'Send the embedding as a list of 1 to 4096 numbers.';

COMMENT ON CONSTRAINT message_embeddings_embedding_has_a_direction ON roost.message_embeddings IS
'Send an embedding of which at least one number is not 0.';

ALTER TABLE roost.message_search_index ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.search_history ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.search_queue ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.message_embeddings ENABLE ROW LEVEL SECURITY;

-- What hides the message hides these as well.
CREATE POLICY message_embeddings_select_participant ON roost.message_embeddings
FOR SELECT TO roost_api
USING (
    EXISTS (
        SELECT FROM roost.messages AS message
        WHERE message.id = message_embeddings.message_id AND message.deleted_at IS NULL
    )
);

CREATE POLICY message_embeddings_insert_member ON roost.message_embeddings
FOR INSERT TO roost_api
WITH CHECK (
    (
        SELECT roost.conversation_role(message.conversation_id)
        FROM roost.messages AS message
        JOIN roost.conversations AS conversation ON conversation.id = message.conversation_id
        WHERE message.id = message_embeddings.message_id
            AND message.deleted_at IS NULL
            AND conversation.archived_at IS NULL
    ) >= (
        SELECT allowed.least_role
        FROM roost.conversation_permissions AS allowed
        WHERE allowed.permission = 'message.send'
    )
);

CREATE POLICY message_embeddings_update_member ON roost.message_embeddings
FOR UPDATE TO roost_api
USING (
    (
        SELECT roost.conversation_role(message.conversation_id)
        FROM roost.messages AS message
        JOIN roost.conversations AS conversation ON conversation.id = message.conversation_id
        WHERE message.id = message_embeddings.message_id
            AND message.deleted_at IS NULL
            AND conversation.archived_at IS NULL
    ) >= (
        SELECT allowed.least_role
        FROM roost.conversation_permissions AS allowed
        WHERE allowed.permission = 'message.send'
    )
);

GRANT SELECT ON roost.message_embeddings TO roost_api;

GRANT INSERT (message_id, model, embedding) ON roost.message_embeddings TO roost_api;

GRANT UPDATE (embedding, created_at) ON roost.message_embeddings TO roost_api;

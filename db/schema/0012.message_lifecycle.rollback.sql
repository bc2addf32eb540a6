SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

ALTER TYPE roost.message DROP ATTRIBUTE root_seq CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE parent_seq CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE change_seq CASCADE;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TABLE roost.message_backfill CASCADE;

DROP TYPE roost.message_change CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE purged_at CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE deleted_at CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE edited_at CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE reactions CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE attachments CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE mentions CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE version CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE reply_count CASCADE;

ALTER TYPE roost.message DROP ATTRIBUTE root_message_id CASCADE;

DROP TABLE roost.typing_indicators CASCADE;

DROP TABLE roost.message_mentions CASCADE;

DROP TABLE roost.message_reactions CASCADE;

DROP TABLE roost.message_attachments CASCADE;

DROP TABLE roost.message_changes CASCADE;

DROP TYPE roost.message_change_type CASCADE;

DROP POLICY messages_update_author_or_admin ON roost.messages;

ALTER POLICY messages_select_participant ON roost.messages
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = messages.conversation_id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
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
    ) >= 'member'
);

REVOKE UPDATE (content, metadata, deleted_at, purged_at) ON roost.messages FROM roost_api;

REVOKE INSERT ON roost.messages FROM roost_api;

GRANT INSERT ON roost.messages TO roost_api;

-- A tombstone would be taken for an empty message. What triggers would do with it has nowhere to go
-- any more.
ALTER TABLE roost.messages DISABLE TRIGGER USER;

DELETE FROM roost.messages WHERE deleted_at IS NOT NULL;

ALTER TABLE roost.messages ENABLE TRIGGER USER;

ALTER TABLE roost.messages
DROP COLUMN number CASCADE,
DROP COLUMN change_seq CASCADE,
DROP COLUMN root_message_id CASCADE,
DROP COLUMN parent_seq CASCADE,
DROP COLUMN root_seq CASCADE,
DROP COLUMN reply_count CASCADE,
DROP COLUMN version CASCADE,
DROP COLUMN mentions CASCADE,
DROP COLUMN attachments CASCADE,
DROP COLUMN reactions CASCADE,
DROP COLUMN edited_at CASCADE,
DROP COLUMN deleted_at CASCADE,
DROP COLUMN deleted_by CASCADE,
DROP COLUMN purged_at CASCADE,
DROP COLUMN request_hash CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0012.message_lifecycle';

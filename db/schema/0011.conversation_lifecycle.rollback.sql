SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.my_analytics CASCADE;

DROP TYPE roost.conversation_analytics CASCADE;

DROP TYPE roost.day_activity CASCADE;

DROP TYPE roost.hour_activity CASCADE;

DROP TYPE roost.conversation_activity CASCADE;

DROP TYPE roost.participant_activity CASCADE;

DROP TYPE roost.response_times CASCADE;

DROP TYPE roost.history_scope CASCADE;

DROP TYPE roost.conversation_state CASCADE;

DROP TYPE roost.receipt CASCADE;

DROP TYPE roost.shared_conversation CASCADE;

ALTER TYPE roost.participant DROP ATTRIBUTE last_delivered_seq CASCADE;

ALTER TYPE roost.participant DROP ATTRIBUTE last_read_seq CASCADE;

ALTER TYPE roost.participant DROP ATTRIBUTE left_at CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE last_message CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE unread_count CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE last_delivered_seq CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE last_read_seq CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE deleted_at CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE archived_at CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE retention_days CASCADE;

ALTER TYPE roost.conversation DROP ATTRIBUTE search_language CASCADE;

REVOKE UPDATE (
    user_id, title, workspace_path, metadata, search_language, retention_days, archived_at,
    deleted_at, last_number
) ON roost.conversations FROM roost_api;

-- What was deleted would be readable again: it goes. What triggers would do with it has nowhere to
-- go any more, and what they put off to the end would stand in the way of the columns.
ALTER TABLE roost.messages DISABLE TRIGGER USER;

ALTER TABLE roost.conversation_participants DISABLE TRIGGER USER;

ALTER TABLE roost.conversations DISABLE TRIGGER USER;

DELETE FROM roost.conversations WHERE deleted_at IS NOT NULL;

ALTER TABLE roost.conversations ENABLE TRIGGER USER;

ALTER TABLE roost.conversation_participants ENABLE TRIGGER USER;

ALTER TABLE roost.messages ENABLE TRIGGER USER;

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
        AND participant.left_at IS NULL;
$$;

ALTER POLICY conversations_select_participant ON roost.conversations
USING (
    (
        SELECT participant.role
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = conversations.id
            AND participant.user_id = (SELECT roost.current_user_id())
            AND participant.left_at IS NULL
    ) IS NOT NULL
);

DROP POLICY conversations_update_member ON roost.conversations;

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

ALTER POLICY conversation_participants_insert_admin ON roost.conversation_participants
WITH CHECK (
    greatest(role, 'member') < roost.conversation_role(conversation_id)
    OR (
        role = 'owner'
        AND user_id = (SELECT roost.current_user_id())
        AND roost.is_unowned_conversation(conversation_id)
    )
);

ALTER POLICY conversation_participants_update_admin ON roost.conversation_participants
USING (
    CASE WHEN left_at IS NULL THEN greatest(role, 'member') ELSE 'member' END
    < roost.conversation_role(conversation_id)
)
WITH CHECK (greatest(role, 'member') < roost.conversation_role(conversation_id));

-- CASCADE: the triggers on these columns come and go with the files below db/triggers.
ALTER TABLE roost.conversation_participants RESET (fillfactor);

ALTER TABLE roost.conversation_participants
DROP COLUMN history_after_seq CASCADE,
DROP COLUMN last_read_seq CASCADE,
DROP COLUMN last_delivered_seq CASCADE,
DROP COLUMN read_number CASCADE,
DROP COLUMN suspended CASCADE,
DROP COLUMN mention_name CASCADE;

ALTER TABLE roost.conversations
DROP COLUMN search_language CASCADE,
DROP COLUMN retention_days CASCADE,
DROP COLUMN archived_at CASCADE,
DROP COLUMN deleted_at CASCADE,
DROP COLUMN purged_at CASCADE,
DROP COLUMN last_number CASCADE,
DROP COLUMN expired_number CASCADE;

COMMENT ON COLUMN roost.conversations.user_id IS 'Who opened it.';

COMMENT ON COLUMN roost.conversations.updated_at IS 'When title, path or metadata last changed.';

COMMENT ON COLUMN roost.conversation_participants.role IS
'viewer reads, member also writes, admin also adds people, owner is who opened it.';

REVOKE INSERT ON roost.conversations, roost.conversation_participants FROM roost_api;

GRANT INSERT ON roost.conversations, roost.conversation_participants TO roost_api;

DROP TABLE roost.conversation_permissions CASCADE;

DELETE FROM roost.error_codes
WHERE code IN ('RO203', 'RO204', 'RO303', 'RO304', 'RO305', 'RO501');

DELETE FROM roost.migration_checksums WHERE id = '0011.conversation_lifecycle';

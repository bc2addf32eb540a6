SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.participant CASCADE;

DROP TYPE roost.conversation CASCADE;

DROP POLICY conversations_update_member ON roost.conversations;

DROP POLICY conversations_select_participant ON roost.conversations;

DROP TABLE roost.conversation_participants CASCADE;

DROP FUNCTION roost.is_unowned_conversation(uuid) CASCADE;

DROP FUNCTION roost.conversation_role(uuid) CASCADE;

DROP TYPE roost.participant_role CASCADE;

DROP TABLE roost.conversations CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0008.conversations';

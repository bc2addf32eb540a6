SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.verified_scope CASCADE;

DROP TYPE roost.pulled_changes CASCADE;

DROP TYPE roost.scope_change CASCADE;

DROP TYPE roost.sync_step CASCADE;

DROP TABLE roost.sync_scopes CASCADE;

ALTER TABLE realtime.topics DROP COLUMN removed_offset;

ALTER TABLE roost.conversations DROP COLUMN removed_seq;

ALTER TABLE roost.conversations DROP COLUMN expired_seq;

ALTER TABLE roost.conversation_participants DROP COLUMN change_seq;

-- CASCADE: a trigger of each names the column.
ALTER TABLE roost.devices DROP COLUMN change_seq CASCADE;

ALTER TABLE roost.users DROP COLUMN change_seq CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0028.sync_scopes';

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.typing CASCADE;

DROP TYPE roost.unread_counts CASCADE;

DROP TYPE roost.unread_count CASCADE;

DROP TYPE roost.reader CASCADE;

DROP TYPE roost.attachment CASCADE;

DROP TYPE roost.reaction CASCADE;

DROP TYPE roost.reaction_event CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0022.message_feedback';

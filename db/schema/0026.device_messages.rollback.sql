SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.device_message CASCADE;

DROP TABLE roost.device_message_outcomes CASCADE;

DROP TABLE roost.device_messages CASCADE;

DROP TYPE roost.device_message_state CASCADE;

DELETE FROM roost.error_codes WHERE code = 'RO205';

DELETE FROM roost.migration_checksums WHERE id = '0026.device_messages';

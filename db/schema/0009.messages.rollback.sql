SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.message CASCADE;

DROP TABLE roost.messages CASCADE;

DROP DOMAIN roost.message_content CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0009.messages';

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name them come and go with the files below db/functions.
DROP TYPE roost.device_cursor CASCADE;

DROP TABLE roost.device_cursors CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0023.device_cursors';

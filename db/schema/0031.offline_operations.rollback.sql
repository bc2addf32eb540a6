SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.earlier_edit CASCADE;

DROP TYPE roost.offline_operation CASCADE;

DROP TABLE roost.offline_operations CASCADE;

DROP TYPE roost.offline_status CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0031.offline_operations';

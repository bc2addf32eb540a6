SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- What has been looked at does no harm: the constraints go with their migration.
DELETE FROM roost.migration_checksums WHERE id = '0017.message_constraints';

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Functions over these go along. The next `roost migrate` makes them again.
DROP TYPE roost.extension_connection CASCADE;

DROP TYPE roost.device_description CASCADE;

DROP TYPE roost.device CASCADE;

DROP TABLE roost.extension_connections CASCADE;

DROP TYPE roost.extension_state CASCADE;

DROP TABLE roost.devices CASCADE;

DROP TYPE roost.device_status CASCADE;

DROP TYPE roost.device_type CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0005.devices';

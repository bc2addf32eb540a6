SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

DROP TABLE realtime.events;

DROP TABLE realtime.topics;

DROP TABLE realtime.log;

DELETE FROM roost.migration_checksums WHERE id = '0007.realtime';

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.presence CASCADE;

DROP TYPE roost.present_device CASCADE;

DROP TABLE realtime.presences;

DROP TABLE roost.announced_presence;

DROP VIEW roost.user_presence;

DROP VIEW roost.current_presence;

DROP TABLE roost.device_connections;

DROP TABLE roost.device_presence;

DROP VIEW roost.living_servers;

DROP TABLE roost.servers;

DROP TYPE roost.presence_status CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0027.device_presence';

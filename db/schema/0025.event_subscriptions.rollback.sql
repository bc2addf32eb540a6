SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.event_subscription CASCADE;

DROP TABLE roost.event_subscriptions CASCADE;

DROP TYPE roost.event_delivery CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0025.event_subscriptions';

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.published_event CASCADE;

DROP TABLE realtime.client_event_ids CASCADE;

DROP TABLE realtime.large_broadcasts CASCADE;

DROP TABLE realtime.topic_prefixes CASCADE;

COMMENT ON CONSTRAINT events_event_is_a_name ON realtime.events IS NULL;

UPDATE roost.error_codes
SET meaning = 'The caller may not join this topic.'
WHERE code = 'RO401';

DELETE FROM roost.migration_checksums WHERE id = '0024.application_topics';

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

ALTER TABLE realtime.events
DROP COLUMN about_offset,
DROP COLUMN revokes,
DROP COLUMN grants_topic,
DROP COLUMN grants_after,
DROP COLUMN written_at,
DROP COLUMN xid;

DELETE FROM roost.migration_checksums WHERE id = '0010.event_visibility';

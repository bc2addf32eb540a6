SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.upload_under_way CASCADE;

DROP TABLE roost.unused_chunks CASCADE;

DROP TABLE roost.upload_chunks CASCADE;

DROP TABLE roost.uploads CASCADE;

DROP TYPE roost.upload_kind CASCADE;

DROP TABLE roost.content_leases CASCADE;

DROP TABLE roost.chunk_leases CASCADE;

DROP TABLE roost.content_chunks CASCADE;

DROP TABLE roost.file_contents CASCADE;

DROP TABLE roost.file_chunks CASCADE;

DROP TABLE roost.storage_usage CASCADE;

DROP TABLE roost.plan_limits CASCADE;

DELETE FROM roost.server_secrets WHERE name = 'file_link';

DELETE FROM roost.error_codes
WHERE code IN ('RO701', 'RO702', 'RO703', 'RO704', 'RO705', 'RO706');

DELETE FROM roost.migration_checksums WHERE id = '0033.file_contents';

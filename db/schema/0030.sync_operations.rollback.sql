SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.text_merge CASCADE;

DROP TYPE roost.json_merge CASCADE;

DROP TYPE roost.operation_effect CASCADE;

DROP TYPE roost.device_operation CASCADE;

DROP TYPE roost.sync_conflict CASCADE;

DROP TYPE roost.sync_operation CASCADE;

DROP TYPE roost.pushed_operation CASCADE;

DROP TABLE roost.sync_conflicts CASCADE;

DROP TABLE roost.sync_operations CASCADE;

DROP TABLE roost.sync_devices CASCADE;

DROP TYPE roost.conflict_strategy CASCADE;

DROP TYPE roost.conflict_state CASCADE;

DROP TYPE roost.conflict_policy CASCADE;

DROP TYPE roost.operation_outcome CASCADE;

DELETE FROM roost.error_codes WHERE code IN ('RO306', 'RO307');

DELETE FROM roost.migration_checksums WHERE id = '0030.sync_operations';

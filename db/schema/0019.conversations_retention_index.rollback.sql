DROP INDEX CONCURRENTLY IF EXISTS roost.conversations_retention_idx;

DELETE FROM roost.migration_checksums WHERE id = '0019.conversations_retention_index';

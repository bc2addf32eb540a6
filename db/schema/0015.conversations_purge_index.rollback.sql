DROP INDEX CONCURRENTLY IF EXISTS roost.conversations_purge_idx;

DELETE FROM roost.migration_checksums WHERE id = '0015.conversations_purge_index';

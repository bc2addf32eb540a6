DROP INDEX CONCURRENTLY IF EXISTS roost.messages_thread_idx;

DELETE FROM roost.migration_checksums WHERE id = '0016.thread_index';

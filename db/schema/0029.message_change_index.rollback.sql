DROP INDEX CONCURRENTLY IF EXISTS roost.messages_change_idx;

DELETE FROM roost.migration_checksums WHERE id = '0029.message_change_index';

DROP INDEX CONCURRENTLY IF EXISTS roost.messages_conversation_created_at_idx;

DELETE FROM roost.migration_checksums WHERE id = '0014.messages_time_index';

DROP INDEX CONCURRENTLY IF EXISTS roost.conversation_participants_mention_idx;

DELETE FROM roost.migration_checksums WHERE id = '0020.mention_index';

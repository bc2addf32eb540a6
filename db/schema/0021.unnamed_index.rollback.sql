DROP INDEX CONCURRENTLY IF EXISTS roost.conversation_participants_unnamed_idx;

DELETE FROM roost.migration_checksums WHERE id = '0021.unnamed_index';

-- depends: 0014.messages_time_index
-- transactional: false
-- Serves the job that erases deleted conversations: those deleted for good, then those deleted long
-- ago.
CREATE INDEX CONCURRENTLY conversations_purge_idx ON roost.conversations (purged_at, deleted_at)
WHERE deleted_at IS NOT NULL;

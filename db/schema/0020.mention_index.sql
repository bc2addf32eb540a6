-- depends: 0019.conversations_retention_index
-- transactional: false
-- Finds who is meant by a name, however many take part or are called so elsewhere. Markers are no
-- part of it, so they still move without a write to an index. Names that are NULL are left out,
-- so that it can't be taken for the primary key, to read all who take part in search of one.
CREATE INDEX CONCURRENTLY conversation_participants_mention_idx
ON roost.conversation_participants (conversation_id, mention_name)
WHERE left_at IS NULL AND mention_name IS NOT NULL;

-- depends: 0018.event_subject_index
-- transactional: false
-- Finds the conversations whose messages expire, without a look at the others. A new message
-- changes no column of it, so its update of the conversation stays heap-only.
CREATE INDEX CONCURRENTLY conversations_retention_idx ON roost.conversations (id)
WHERE retention_days IS NOT NULL;

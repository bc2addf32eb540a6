-- depends: 0028.sync_scopes
-- transactional: false
-- Serves what has changed of a conversation's messages since an offset. Those that nothing has
-- changed are found by their seq, and so no message that is sent is written here. Whoever runs this
-- without roost has a search path of their own.
CREATE INDEX CONCURRENTLY messages_change_idx
ON roost.messages (conversation_id, change_seq)
WHERE change_seq OPERATOR (pg_catalog.>) seq;

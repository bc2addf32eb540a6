-- depends: 0013.search
-- transactional: false
-- Serves what happened in a conversation from one time to another: through (conversation_id, seq)
-- all of its messages would be read.
CREATE INDEX CONCURRENTLY messages_conversation_created_at_idx
ON roost.messages (conversation_id, created_at);

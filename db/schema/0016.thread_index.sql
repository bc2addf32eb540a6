-- depends: 0015.conversations_purge_index
-- transactional: false
-- Serves list_thread, and the foreign key.
CREATE INDEX CONCURRENTLY messages_thread_idx
ON roost.messages (conversation_id, root_message_id, seq)
WHERE root_message_id IS NOT NULL;

-- depends: 0016.thread_index
-- Looks through the messages that were there before, while others go on reading and writing.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

ALTER TABLE roost.messages VALIDATE CONSTRAINT messages_version_counts_up;

ALTER TABLE roost.messages VALIDATE CONSTRAINT messages_deleted_has_no_content;

ALTER TABLE roost.messages VALIDATE CONSTRAINT messages_purged_is_deleted;

ALTER TABLE roost.messages VALIDATE CONSTRAINT messages_attachments_is_a_list;

ALTER TABLE roost.messages VALIDATE CONSTRAINT messages_root_is_in_the_conversation;

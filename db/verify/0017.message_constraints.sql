SET LOCAL ROLE roost_owner;

SELECT 1 / (count(*) = 5)::integer FROM pg_catalog.pg_constraint
WHERE conrelid = 'roost.messages'::regclass
    AND conname IN (
        'messages_version_counts_up', 'messages_deleted_has_no_content',
        'messages_purged_is_deleted', 'messages_root_is_in_the_conversation',
        'messages_attachments_is_a_list'
    )
    AND convalidated;

SET LOCAL ROLE roost_owner;

SELECT
    number, change_seq, root_message_id, parent_seq, root_seq, reply_count, version, mentions, attachments, reactions,
    edited_at, deleted_at, deleted_by, purged_at, request_hash
FROM roost.messages
WHERE false;

SELECT
    conversation_id, seq, message_id, change_type, version, before, user_id, device_id, created_at
FROM roost.message_changes
WHERE false;

SELECT
    id, message_id, conversation_id, seq, place, name, media_type, size, sha256, file_id, url,
    created_at
FROM roost.message_attachments
WHERE false;

SELECT message_id, user_id, reaction, created_at FROM roost.message_reactions WHERE false;

SELECT user_id, message_id, conversation_id, created_at FROM roost.message_mentions WHERE false;

SELECT conversation_id, user_id, device_id, expires_at FROM roost.typing_indicators WHERE false;

SELECT is_the_only_row, conversation_id, seq, finished_at FROM roost.message_backfill WHERE false;

SELECT
    (message.value).root_message_id, (message.value).reply_count, (message.value).version,
    (message.value).mentions, (message.value).attachments, (message.value).reactions,
    (message.value).edited_at, (message.value).deleted_at, (message.value).purged_at,
    (message.value).change_seq, (message.value).parent_seq, (message.value).root_seq
FROM (SELECT NULL::roost.message AS value) AS message
WHERE false;

SELECT
    (change.value).conversation_id, (change.value).seq, (change.value).message_id,
    (change.value).change_type, (change.value).version, (change.value).before,
    (change.value).after, (change.value).user_id, (change.value).device_id,
    (change.value).created_at
FROM (SELECT NULL::roost.message_change AS value) AS change
WHERE false;

SELECT
    ARRAY['created', 'updated', 'deleted', 'restored', 'purged']::roost.message_change_type[]
WHERE false;

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint messages_version_counts_up',
            'constraint messages_deleted_has_no_content',
            'constraint messages_purged_is_deleted',
            'constraint messages_root_is_in_the_conversation',
            'constraint message_changes_pkey',
            'constraint message_changes_message_id_seq_key',
            'constraint message_changes_before_is_an_object',
            'constraint message_attachments_message_id_place_key',
            'constraint message_attachments_name_is_a_file_name',
            'constraint message_attachments_media_type_is_one',
            'constraint message_attachments_size_is_not_negative',
            'constraint message_attachments_sha256_is_hex',
            'constraint message_attachments_url_is_http',
            'constraint message_attachments_is_somewhere',
            'constraint message_attachments_file_has_a_sha256',
            'constraint message_reactions_pkey',
            'constraint message_reactions_reaction_is_short',
            'constraint message_mentions_pkey',
            'constraint typing_indicators_pkey',
            'constraint message_backfill_has_one_row',
            'constraint message_attachments_pkey',
            'constraint message_backfill_pkey',
            'constraint message_attachments_message_id_fkey',
            'constraint message_reactions_message_id_fkey',
            'constraint message_reactions_user_id_fkey',
            'constraint message_mentions_message_id_fkey',
            'constraint message_mentions_user_id_fkey',
            'constraint typing_indicators_conversation_id_fkey',
            'constraint typing_indicators_user_id_fkey',
            'constraint typing_indicators_device_id_fkey',
            'index message_attachments_conversation_idx',
            'index message_reactions_user_id_idx',
            'index message_mentions_newest_idx',
            'index message_mentions_message_id_idx',
            'index typing_indicators_user_id_idx',
            'index typing_indicators_device_id_idx',
            'row-level security of message_changes',
            'row-level security of message_attachments',
            'row-level security of message_reactions',
            'row-level security of message_mentions',
            'row-level security of typing_indicators',
            'row-level security of message_backfill',
            'policy messages_update_author_or_admin',
            'policy message_changes_select_participant',
            'policy message_attachments_select_participant',
            'policy message_attachments_insert_author',
            'policy message_reactions_select_participant',
            'policy message_reactions_insert_own',
            'policy message_reactions_delete_own',
            'policy message_mentions_select_own',
            'policy typing_indicators_select_participant',
            'policy typing_indicators_insert_own',
            'policy typing_indicators_update_own',
            'policy typing_indicators_delete_own',
            'UPDATE on messages.content',
            'UPDATE on messages.metadata',
            'UPDATE on messages.deleted_at',
            'UPDATE on messages.purged_at',
            'SELECT on message_changes.conversation_id',
            'SELECT on message_changes.seq',
            'SELECT on message_changes.message_id',
            'SELECT on message_changes.change_type',
            'SELECT on message_changes.version',
            'SELECT on message_changes.user_id',
            'SELECT on message_changes.device_id',
            'SELECT on message_changes.created_at',
            'SELECT on message_attachments',
            'INSERT on message_attachments',
            'SELECT on message_reactions',
            'INSERT on message_reactions',
            'DELETE on message_reactions',
            'SELECT on message_mentions',
            'SELECT on typing_indicators',
            'INSERT on typing_indicators',
            'DELETE on typing_indicators',
            'UPDATE on typing_indicators.expires_at'
        ]
    ) AS wanted (name)
    WHERE wanted.name NOT IN (
        SELECT concat('constraint ', constrained.conname)
        FROM pg_catalog.pg_constraint AS constrained
        WHERE constrained.connamespace = 'roost'::regnamespace

        UNION ALL
        SELECT concat('policy ', policy.polname)
        FROM pg_catalog.pg_policy AS policy
        JOIN pg_catalog.pg_class AS relation ON relation.oid = policy.polrelid
        WHERE relation.relnamespace = 'roost'::regnamespace

        UNION ALL
        SELECT concat(
            CASE relation.relkind WHEN 'i' THEN 'index ' ELSE 'row-level security of ' END,
            relation.relname
        )
        FROM pg_catalog.pg_class AS relation
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND (relation.relkind = 'i' OR relation.relrowsecurity)

        UNION ALL
        -- On all columns or on some: later versions leave those out that no caller writes.
        SELECT concat('INSERT on ', relation.relname)
        FROM pg_catalog.pg_class AS relation
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND relation.relkind = 'r'
            AND has_any_column_privilege('roost_api', relation.oid, 'INSERT')

        UNION ALL
        SELECT concat(acl.privilege_type, ' on ', relation.relname)
        FROM pg_catalog.pg_class AS relation
        CROSS JOIN aclexplode(relation.relacl) AS acl
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND acl.grantee = 'roost_api'::regrole

        UNION ALL
        SELECT concat(acl.privilege_type, ' on ', relation.relname, '.', attribute.attname)
        FROM pg_catalog.pg_class AS relation
        JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = relation.oid
        CROSS JOIN aclexplode(attribute.attacl) AS acl
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND acl.grantee = 'roost_api'::regrole
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

SET LOCAL ROLE roost_owner;

SELECT '{}'::roost.message_content WHERE false;

SELECT
    id, conversation_id, seq, user_id, device_id, message_type, content, metadata,
    parent_message_id, created_at, updated_at
FROM roost.messages
WHERE false;

SELECT
    (message.value).id, (message.value).conversation_id, (message.value).seq,
    (message.value).user_id, (message.value).device_id, (message.value).message_type,
    (message.value).content, (message.value).metadata, (message.value).parent_message_id,
    (message.value).created_at, (message.value).updated_at
FROM (SELECT NULL::roost.message AS value) AS message
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
            'constraint message_content_is_an_object',
            'constraint message_content_fits_256_kib',
            'constraint messages_pkey',
            'constraint messages_conversation_id_fkey',
            'constraint messages_conversation_seq_key',
            'constraint messages_conversation_id_key',
            'constraint messages_parent_is_in_the_conversation',
            'constraint messages_message_type_is_a_name',
            'constraint messages_user_id_fkey',
            'constraint messages_device_id_fkey',
            'index messages_user_id_created_at_idx',
            'index messages_device_id_idx',
            'index messages_parent_idx',
            'row-level security of messages',
            'policy messages_select_participant',
            'policy messages_insert_member',
            'SELECT on messages',
            'INSERT on messages'
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

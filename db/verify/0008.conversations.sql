SET LOCAL ROLE roost_owner;

SELECT ARRAY['viewer', 'member', 'admin', 'owner']::roost.participant_role[] WHERE false;

SELECT
    'roost.conversation_role(uuid)'::regprocedure,
    'roost.is_unowned_conversation(uuid)'::regprocedure
WHERE false;

SELECT
    id, user_id, title, workspace_path, metadata, last_seq, last_activity, created_at, updated_at
FROM roost.conversations
WHERE false;

SELECT conversation_id, user_id, role, joined_at, left_at
FROM roost.conversation_participants
WHERE false;

SELECT
    (conversation.value).id, (conversation.value).user_id, (conversation.value).title,
    (conversation.value).workspace_path, (conversation.value).metadata,
    (conversation.value).role, (conversation.value).last_seq, (conversation.value).last_activity,
    (conversation.value).created_at, (conversation.value).updated_at
FROM (SELECT NULL::roost.conversation AS value) AS conversation
WHERE false;

SELECT
    (participant.value).conversation_id, (participant.value).user_id, (participant.value).role,
    (participant.value).joined_at
FROM (SELECT NULL::roost.participant AS value) AS participant
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
            'constraint conversations_pkey',
            'constraint conversations_user_id_fkey',
            'constraint conversations_title_fits',
            'constraint conversations_workspace_path_fits',
            'constraint conversations_last_seq_counts_up',
            'constraint conversation_participants_pkey',
            'constraint conversation_participants_conversation_id_fkey',
            'constraint conversation_participants_user_id_fkey',
            'index conversations_user_id_idx',
            'index conversation_participants_user_id_idx',
            'row-level security of conversations',
            'row-level security of conversation_participants',
            'policy conversations_select_participant',
            'policy conversations_insert_own',
            'policy conversations_update_member',
            'policy conversation_participants_select_fellow',
            'policy conversation_participants_insert_admin',
            'policy conversation_participants_update_admin',
            'SELECT on conversations',
            'INSERT on conversations',
            'UPDATE on conversations.last_seq',
            'UPDATE on conversations.last_activity',
            'SELECT on conversation_participants',
            'INSERT on conversation_participants',
            'UPDATE on conversation_participants.role',
            'UPDATE on conversation_participants.joined_at',
            'UPDATE on conversation_participants.left_at'
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

SET LOCAL ROLE roost_owner;

SELECT 1 / count(*)
FROM roost.error_codes
WHERE code = 'RO203';

SELECT permission, least_role, in_archive, meaning FROM roost.conversation_permissions WHERE false;

SELECT
    search_language, retention_days, archived_at, deleted_at, purged_at, last_number, expired_number
FROM roost.conversations
WHERE false;

SELECT
    history_after_seq, last_read_seq, last_delivered_seq, read_number, suspended, mention_name
FROM roost.conversation_participants
WHERE false;

SELECT
    ARRAY['active', 'archived', 'deleted']::roost.conversation_state[],
    ARRAY['all', 'from_now']::roost.history_scope[]
WHERE false;

SELECT
    (conversation.value).search_language, (conversation.value).retention_days,
    (conversation.value).archived_at, (conversation.value).deleted_at,
    (conversation.value).last_read_seq, (conversation.value).last_delivered_seq,
    (conversation.value).unread_count, (conversation.value).last_message
FROM (SELECT NULL::roost.conversation AS value) AS conversation
WHERE false;

SELECT
    (participant.value).left_at, (participant.value).last_read_seq,
    (participant.value).last_delivered_seq
FROM (SELECT NULL::roost.participant AS value) AS participant
WHERE false;

SELECT
    (shared.value).id, (shared.value).user_id, (shared.value).title,
    (shared.value).workspace_path, (shared.value).metadata, (shared.value).search_language,
    (shared.value).retention_days, (shared.value).archived_at, (shared.value).deleted_at,
    (shared.value).created_at, (shared.value).updated_at
FROM (SELECT NULL::roost.shared_conversation AS value) AS shared
WHERE false;

SELECT
    (receipt.value).conversation_id, (receipt.value).user_id, (receipt.value).last_read_seq,
    (receipt.value).last_delivered_seq, (receipt.value).unread_count
FROM (SELECT NULL::roost.receipt AS value) AS receipt
WHERE false;

SELECT
    (analytics.value).conversation_id, (analytics.value).from_time, (analytics.value).to_time,
    (analytics.value).time_zone, (analytics.value).message_count,
    (analytics.value).participant_count,
    ((analytics.value).participants[1]).user_id,
    ((analytics.value).participants[1]).message_count,
    ((analytics.value).response_times).response_count,
    ((analytics.value).response_times).median,
    ((analytics.value).response_times).mean,
    ((analytics.value).response_times).percentile_95,
    ((analytics.value).hours[1]).hour,
    ((analytics.value).hours[1]).message_count,
    ((analytics.value).days[1]).day,
    ((analytics.value).days[1]).message_count
FROM (SELECT NULL::roost.conversation_analytics AS value) AS analytics
WHERE false;

SELECT
    (analytics.value).from_time, (analytics.value).to_time, (analytics.value).time_zone,
    (analytics.value).message_count, (analytics.value).conversation_count,
    ((analytics.value).conversations[1]).conversation_id,
    ((analytics.value).conversations[1]).message_count,
    (analytics.value).response_times, (analytics.value).hours, (analytics.value).days
FROM (SELECT NULL::roost.my_analytics AS value) AS analytics
WHERE false;

-- Constraints, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint conversation_permissions_pkey',
            'constraint conversation_permissions_permission_is_a_name',
            'constraint conversations_search_language_is_known',
            'constraint conversations_retention_days_in_range',
            'constraint conversations_purged_is_deleted',
            'constraint conversations_last_number_counts_up',
            'constraint conversations_expired_number_in_range',
            'constraint conversation_participants_history_after_seq_counts_up',
            'constraint conversation_participants_last_read_seq_counts_up',
            'constraint conversation_participants_read_is_delivered',
            'constraint conversation_participants_read_number_counts_up',
            'row-level security of conversation_permissions',
            'policy conversation_permissions_select_all',
            'SELECT on conversation_permissions',
            'UPDATE on conversations.user_id',
            'UPDATE on conversations.title',
            'UPDATE on conversations.workspace_path',
            'UPDATE on conversations.metadata',
            'UPDATE on conversations.search_language',
            'UPDATE on conversations.retention_days',
            'UPDATE on conversations.archived_at',
            'UPDATE on conversations.deleted_at',
            'UPDATE on conversations.last_number',
            'UPDATE on conversation_participants.history_after_seq',
            'UPDATE on conversation_participants.last_read_seq',
            'UPDATE on conversation_participants.last_delivered_seq',
            'UPDATE on conversation_participants.read_number',
            -- What these were before it reads none of its columns.
            'newer conversations_select_participant',
            'newer conversations_update_member',
            'newer conversation_participants_insert_admin',
            'newer conversation_participants_update_admin'
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
        SELECT concat('newer ', policy.polname)
        FROM pg_catalog.pg_policy AS policy
        JOIN pg_catalog.pg_class AS relation ON relation.oid = policy.polrelid
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND concat(
                pg_catalog.pg_get_expr(policy.polqual, policy.polrelid),
                pg_catalog.pg_get_expr(policy.polwithcheck, policy.polrelid)
            ) ~ 'suspended|conversation_permissions'

        UNION ALL
        SELECT concat('row-level security of ', relation.relname)
        FROM pg_catalog.pg_class AS relation
        WHERE relation.relnamespace = 'roost'::regnamespace AND relation.relrowsecurity

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

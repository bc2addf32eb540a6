SET LOCAL ROLE roost_owner;

SELECT
    id, user_id, from_device_id, to_device_id, number, message_type, payload, reply_to, created_at,
    expires_at
FROM roost.device_messages
WHERE false;

SELECT
    id, user_id, from_device_id, to_device_id, number, state, created_at, expires_at, finished_at
FROM roost.device_message_outcomes
WHERE false;

SELECT
    (NULL::roost.device_message).id,
    (NULL::roost.device_message).from_device_id,
    (NULL::roost.device_message).to_device_id,
    (NULL::roost.device_message).number,
    (NULL::roost.device_message).state,
    (NULL::roost.device_message).message_type,
    (NULL::roost.device_message).payload,
    (NULL::roost.device_message).reply_to,
    (NULL::roost.device_message).created_at,
    (NULL::roost.device_message).expires_at;

SELECT
    ARRAY['waiting', 'acknowledged', 'cancelled', 'expired']::roost.device_message_state[]
WHERE false;

SELECT 1 / count(*) FROM roost.error_codes WHERE code = 'RO205';

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint device_messages_pkey',
            'constraint device_messages_from_device_fkey',
            'constraint device_messages_to_device_fkey',
            'constraint device_messages_to_device_number_key',
            'constraint device_messages_number_counts_up',
            'constraint device_messages_message_type_is_a_name',
            'constraint device_messages_expires_within_30_days',
            'constraint device_message_outcomes_pkey',
            'constraint device_message_outcomes_from_device_fkey',
            'constraint device_message_outcomes_state_is_final',
            'index device_messages_from_device_idx',
            'index device_messages_expires_at_idx',
            'index device_message_outcomes_finished_at_idx',
            'row-level security of device_messages',
            'row-level security of device_message_outcomes',
            'policy device_messages_select_own',
            'policy device_messages_insert_own',
            'policy device_message_outcomes_select_own',
            'SELECT on device_messages',
            'INSERT on device_messages',
            'SELECT on device_message_outcomes'
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

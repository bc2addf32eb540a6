SET LOCAL ROLE roost_owner;

SELECT
    id, user_id, device_id, topic, event, delivery, created_at, updated_at
FROM roost.event_subscriptions
WHERE false;

SELECT ARRAY['all', 'silent', 'none']::roost.event_delivery[] WHERE false;

SELECT
    (NULL::roost.event_subscription).id,
    (NULL::roost.event_subscription).device_id,
    (NULL::roost.event_subscription).topic,
    (NULL::roost.event_subscription).event,
    (NULL::roost.event_subscription).delivery,
    (NULL::roost.event_subscription).created_at,
    (NULL::roost.event_subscription).updated_at;

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint event_subscriptions_pkey',
            'constraint event_subscriptions_user_id_fkey',
            'constraint event_subscriptions_device_fkey',
            'constraint event_subscriptions_one_for_each_case',
            'constraint event_subscriptions_topic_is_a_name',
            'constraint event_subscriptions_event_is_a_name_or_a_family',
            'row-level security of event_subscriptions',
            'policy event_subscriptions_select_own',
            'policy event_subscriptions_insert_own',
            'policy event_subscriptions_update_own',
            'policy event_subscriptions_delete_own',
            'SELECT on event_subscriptions',
            'INSERT on event_subscriptions',
            'DELETE on event_subscriptions',
            'UPDATE on event_subscriptions.delivery'
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

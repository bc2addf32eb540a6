SET LOCAL ROLE roost_owner;

SELECT is_the_only_row, epoch FROM realtime.log WHERE false;

SELECT topic, last_offset FROM realtime.topics WHERE false;

SELECT id, topic, event_offset, event, payload, actor_id, device_id, created_at
FROM realtime.events
WHERE false;

SELECT id, topic, event_offset, event, payload, actor_id, device_id, created_at
FROM realtime.events_default
WHERE false;

-- Fails unless the log has its row.
SELECT 1 / pg_catalog.count(*) FROM realtime.log HAVING pg_catalog.count(*) <> 1;

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint log_pkey',
            'constraint log_has_one_row',
            'constraint topics_pkey',
            'constraint topics_topic_is_a_name',
            'constraint topics_last_offset_counts_up',
            'constraint events_pkey',
            'constraint events_event_is_a_name',
            'row-level security of log',
            'row-level security of topics',
            'row-level security of events',
            'row-level security of events_default'
        ]
    ) AS wanted (name)
    WHERE wanted.name NOT IN (
        SELECT concat('constraint ', constrained.conname)
        FROM pg_catalog.pg_constraint AS constrained
        WHERE constrained.connamespace = 'realtime'::regnamespace

        UNION ALL
        SELECT concat('policy ', policy.polname)
        FROM pg_catalog.pg_policy AS policy
        JOIN pg_catalog.pg_class AS relation ON relation.oid = policy.polrelid
        WHERE relation.relnamespace = 'realtime'::regnamespace

        UNION ALL
        SELECT concat(
            CASE relation.relkind WHEN 'i' THEN 'index ' ELSE 'row-level security of ' END,
            relation.relname
        )
        FROM pg_catalog.pg_class AS relation
        WHERE relation.relnamespace = 'realtime'::regnamespace
            AND (relation.relkind = 'i' OR relation.relrowsecurity)

        UNION ALL
        SELECT concat(acl.privilege_type, ' on ', relation.relname)
        FROM pg_catalog.pg_class AS relation
        CROSS JOIN aclexplode(relation.relacl) AS acl
        WHERE relation.relnamespace = 'realtime'::regnamespace
            AND acl.grantee = 'roost_api'::regrole

        UNION ALL
        SELECT concat(acl.privilege_type, ' on ', relation.relname, '.', attribute.attname)
        FROM pg_catalog.pg_class AS relation
        JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = relation.oid
        CROSS JOIN aclexplode(attribute.attacl) AS acl
        WHERE relation.relnamespace = 'realtime'::regnamespace
            AND acl.grantee = 'roost_api'::regrole
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

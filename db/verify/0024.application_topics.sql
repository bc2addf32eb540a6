SET LOCAL ROLE roost_owner;

SELECT prefix, rule_schema, rule_name, created_at FROM realtime.topic_prefixes WHERE false;

SELECT id, topic, event, payload, raw, created_at FROM realtime.large_broadcasts WHERE false;

SELECT actor_id, id, topic, event_offset, request_hash, created_at
FROM realtime.client_event_ids
WHERE false;

SELECT
    (NULL::roost.published_event).topic,
    (NULL::roost.published_event)."offset",
    (NULL::roost.published_event).epoch;

SELECT 1 / pg_catalog.count(*)
FROM roost.error_codes
WHERE code = 'RO401' AND meaning LIKE '%, or not send that to it.'
HAVING pg_catalog.count(*) <> 1;

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint topic_prefixes_pkey',
            'constraint topic_prefixes_prefix_is_a_name',
            'constraint topic_prefixes_prefix_is_not_reserved',
            'constraint large_broadcasts_pkey',
            'constraint large_broadcasts_one_payload',
            'index large_broadcasts_created_at_idx',
            'constraint client_event_ids_pkey',
            'index client_event_ids_created_at_idx',
            'row-level security of client_event_ids',
            'row-level security of topic_prefixes',
            'row-level security of large_broadcasts'
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

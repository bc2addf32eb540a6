SET LOCAL ROLE roost_owner;

SELECT
    ARRAY['free', 'pro', 'enterprise']::roost.plan_type[],
    ARRAY['active', 'suspended', 'closed']::roost.user_status[]
WHERE false;

SELECT
    id, email, password_hash, display_name, plan_type, user_metadata, preferences,
    security_settings, status, last_login, created_at, updated_at
FROM roost.users
WHERE false;

SELECT
    (account.value).id, (account.value).email, (account.value).display_name,
    (account.value).plan_type, (account.value).preferences, (account.value).security_settings,
    (account.value).status, (account.value).last_login, (account.value).created_at,
    (account.value).updated_at
FROM (SELECT NULL::roost.account AS value) AS account
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
            'constraint users_pkey',
            'constraint users_email_is_taken',
            'constraint users_email_is_an_address',
            'constraint users_password_hash_is_argon2id',
            'constraint users_display_name_fits',
            'row-level security of users',
            'policy users_select_self',
            'policy users_update_self',
            'SELECT on users',
            'UPDATE on users.display_name',
            'UPDATE on users.preferences',
            'UPDATE on users.security_settings',
            'UPDATE on users.updated_at'
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

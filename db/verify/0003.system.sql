SET LOCAL ROLE roost_owner;

SELECT
    'roost.uuid_v7()'::regprocedure,
    'roost.current_user_id()'::regprocedure,
    'roost.current_device_id()'::regprocedure,
    'roost.current_session_id()'::regprocedure,
    'roost.json_digits(jsonb)'::regprocedure,
    'roost.json_fits(jsonb, integer)'::regprocedure
WHERE false;

SELECT '{}'::roost.json_object WHERE false;

SELECT id, kind, sha256, objects, applied_at FROM roost.migration_checksums WHERE false;

SELECT code, name, http_status, meaning FROM roost.error_codes WHERE false;

SELECT name, value, created_at FROM roost.server_secrets WHERE false;

DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'RO101', 'RO102', 'RO103', 'RO104', 'RO105', 'RO106', 'RO107', 'RO201', 'RO202',
            'RO301', 'RO302', 'RO401', 'RO402', 'RO403', 'access_token', 'refresh_token'
        ]
    ) AS wanted (name)
    WHERE wanted.name NOT IN (
        SELECT error_code.code FROM roost.error_codes AS error_code
        UNION ALL
        SELECT secret.name FROM roost.server_secrets AS secret
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'no_data_found',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint migration_checksums_pkey',
            'constraint migration_checksums_kind_is_known',
            'constraint migration_checksums_sha256_is_hex',
            'constraint migration_checksums_objects_is_an_object',
            'constraint migration_checksums_schema_has_a_sha256',
            'constraint error_codes_pkey',
            'constraint error_codes_code_is_of_class_ro',
            'constraint error_codes_name_is_taken',
            'constraint error_codes_http_status_is_an_error',
            'constraint server_secrets_pkey',
            'constraint server_secrets_value_is_long',
            'constraint json_object_is_an_object',
            'constraint json_object_fits_64_kib',
            'row-level security of migration_checksums',
            'row-level security of error_codes',
            'row-level security of server_secrets'
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

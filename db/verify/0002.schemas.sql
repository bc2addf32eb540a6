SET LOCAL ROLE roost_owner;

DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(
        pg_catalog.concat(wanted.privilege, ' on ', wanted.schema, ' for ', wanted.role), ', '
    )
    INTO v_missing
    FROM (
        VALUES
            ('roost', 'CREATE', 'roost_owner'),
            ('api', 'CREATE', 'roost_owner'),
            ('realtime', 'CREATE', 'roost_owner'),
            ('extensions', 'USAGE', 'roost_owner'),
            ('roost', 'USAGE', 'roost_api'),
            ('api', 'CREATE', 'roost_api'),
            ('realtime', 'USAGE', 'roost_api'),
            ('extensions', 'USAGE', 'roost_api'),
            ('api', 'USAGE', 'roost_anon'),
            ('roost', 'USAGE', 'roost_anon'),
            ('api', 'USAGE', 'roost_user'),
            ('roost', 'USAGE', 'roost_user'),
            ('realtime', 'USAGE', 'roost_user'),
            ('api', 'USAGE', 'roost_service'),
            ('roost', 'USAGE', 'roost_service'),
            ('api', 'USAGE', 'roost_gateway'),
            ('roost', 'USAGE', 'roost_gateway'),
            ('realtime', 'USAGE', 'roost_gateway')
    ) AS wanted (schema, privilege, role)
    WHERE to_regnamespace(wanted.schema) IS NULL
        OR NOT pg_catalog.has_schema_privilege(
            to_regrole(wanted.role), to_regnamespace(wanted.schema)::oid, wanted.privilege
        );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

SELECT NULL::extensions.citext WHERE false;

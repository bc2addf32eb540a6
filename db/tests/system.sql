-- System: identifiers, error codes, secrets, and the rules that hold for the whole schema.
BEGIN;

SELECT plan(30);

-- ping: everyone
SELECT is(as_caller(caller.role, NULL, 'SELECT api.ping()'), 'pong', caller.role || ' may ping')
FROM (VALUES ('roost_anon'), ('roost_user'), ('roost_service')) AS caller (role);

-- Identifiers
SELECT is(
    substr(roost.uuid_v7()::text, 15, 1), '7', 'uuid_v7 gives version 7'
);
SELECT matches(
    substr(roost.uuid_v7()::text, 20, 1), '^[89ab]$', 'uuid_v7 gives the RFC 9562 variant'
);
SELECT ok(
    abs(
        ('x' || left(replace(roost.uuid_v7()::text, '-', ''), 12))::bit(48)::bigint
        - extract(EPOCH FROM clock_timestamp()) * 1000
    ) < 60000,
    'uuid_v7 begins with the time in milliseconds'
);
SELECT is(
    (SELECT count(DISTINCT roost.uuid_v7()) FROM generate_series(1, 10000)),
    10000::bigint,
    'uuid_v7 does not repeat'
);

-- Secrets: for the gateway alone
SELECT matches(
    as_caller('roost_gateway', NULL, 'SELECT roost.get_server_secret(''access_token'')'),
    '^[0-9a-f]{64}$',
    'the gateway reads the key of the access tokens'
);
SELECT isnt(
    roost.get_server_secret('access_token'),
    roost.get_server_secret('refresh_token'),
    'keys differ by purpose'
);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT roost.get_server_secret(''access_token'')'),
    '42501',
    NULL,
    caller.role || ' may not read secrets'
)
FROM (VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_api')) AS caller (role);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT 1 FROM roost.server_secrets'),
    '42501',
    NULL,
    caller.role || ' may not read the table of secrets'
)
FROM (VALUES ('roost_gateway'), ('roost_user'), ('roost_api')) AS caller (role);

-- Error codes
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        'SELECT http_status FROM roost.get_error_codes() WHERE code = ''RO201'''
    ),
    '404',
    'the gateway reads the error codes'
);

-- Bounds on answers
SELECT lives_ok(
    'SELECT roost.require_page_size(' || page.size || ')', 'a page may have ' || page.size
)
FROM (VALUES (1), (200)) AS page (size);
SELECT throws_ok(
    'SELECT roost.require_page_size(' || page.size || ')',
    'RO302',
    NULL,
    'a page may not have ' || page.size
)
FROM (VALUES ('0'), ('201'), ('-1'), ('NULL')) AS page (size);
SELECT lives_ok('SELECT roost.require_row_count(1, true, NULL)', 'one row is a single object');
SELECT lives_ok('SELECT roost.require_row_count(5, false, 5)', 'as many rows as allowed');
SELECT throws_ok(
    'SELECT roost.require_row_count(0, true, NULL)', 'PGRST', NULL, 'no row is no single object'
);
SELECT throws_ok(
    'SELECT roost.require_row_count(6, false, 5)', 'PGRST', NULL, 'more rows than allowed'
);

-- The whole schema
SELECT is_empty(
    $$
        SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
    $$,
    'nothing is in public'
);
SELECT is_empty(
    $$
        SELECT c.oid::regclass FROM pg_class AS c
        WHERE c.relnamespace IN ('roost'::regnamespace, 'realtime'::regnamespace)
            AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
    $$,
    'every table has row-level security'
);
SELECT is_empty(
    $$
        SELECT p.oid::regprocedure FROM pg_proc AS p
        WHERE p.pronamespace IN
            ('api'::regnamespace, 'roost'::regnamespace, 'realtime'::regnamespace)
            AND p.prosqlbody IS NULL
            AND (p.proconfig @> '{"search_path=pg_catalog, pg_temp"}') IS NOT TRUE
    $$,
    'every function pins its search_path or was bound when it was made'
);

SELECT * FROM finish();

ROLLBACK;

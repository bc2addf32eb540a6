-- System: identifiers, error codes, secrets, bounds on answers and on JSON.
BEGIN;

SELECT plan(41);

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

-- Sizes of JSON: as text, whatever PostgreSQL stores
SELECT is(
    roost.json_fits(sized.json, sized.bytes),
    sized.fits,
    format('%s in %s bytes', sized.what, sized.bytes)
)
FROM (
    VALUES
        ('{}'::jsonb, 2, true, 'an empty object'),
        ('{}', 1, false, 'an empty object'),
        ('{"a": "\u0001"}', 15, true, 'an escape'),
        ('{"a": "\u0001"}', 14, false, 'an escape'),
        ('{"a": 1e131071}', 131079, true, 'a long number'),
        ('{"a": 1e131071}', 131078, false, 'a long number'),
        ('{"a": 1e-16383}', 16392, true, 'a small number'),
        ('{"a": 1e-16383}', 16391, false, 'a small number'),
        (
            jsonb_build_object('a', repeat('x', 2000), 'n', ARRAY[-1e5000]), 7020, true,
            'a long number beside long text'
        ),
        (
            jsonb_build_object('a', repeat('x', 2000), 'n', ARRAY[-1e5000]), 7019, false,
            'a long number beside long text'
        ),
        (
            (SELECT jsonb_agg(1) FROM generate_series(1, 50000)), 150000, true,
            'a list that is longer as it is stored'
        )
) AS sized (json, bytes, fits, what);
-- Written, the last of these would take 300 MB and the others more than the server can hold.
SELECT ok(
    NOT roost.json_fits(
        format('{"a": [%s1]}', repeat(huge.number || ',', 20000))::jsonb,
        262144
    ),
    huge.number || ' 20,000 times does not fit, and is not written to find out'
)
FROM (VALUES ('1e131071'), ('-1e100000'), ('0e-16383')) AS huge (number);

SELECT * FROM finish();

ROLLBACK;

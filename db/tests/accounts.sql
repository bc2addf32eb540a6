-- Accounts: reading and changing one's own, sign-up, what the auth endpoints read and change.
BEGIN;

SELECT plan(62);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000aa'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000b',
    '00000000-0000-7000-8000-0000000000db',
    '00000000-0000-7000-8000-0000000000bb'
);
-- As if everything had happened an hour ago, so that a change of updated_at shows.
ALTER TABLE roost.users DISABLE TRIGGER USER;
UPDATE roost.users SET updated_at = now() - interval '1 hour';
ALTER TABLE roost.users ENABLE TRIGGER USER;
CREATE TEMPORARY TABLE before AS SELECT * FROM roost.users;

-- Who may call
SELECT throws_ok(
    calling(caller.role, NULL, format('SELECT api.%s()', called.function)),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.function)
)
FROM (VALUES ('get_me'), ('update_me')) AS called (function)
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT throws_ok(
    calling(caller.role, '00000000-0000-7000-8000-00000000000a', called.query),
    '42501',
    NULL,
    format('%s may not call %s', caller.role, called.query)
)
FROM (
    VALUES
        ('SELECT roost.sign_up(NULL, NULL, NULL, NULL, NULL, NULL, NULL)'),
        ('SELECT roost.get_user(''00000000-0000-7000-8000-0000000000aa'')'),
        ('SELECT roost.update_user(NULL, NULL, NULL, NULL)')
) AS called (query)
CROSS JOIN (
    VALUES ('roost_anon'), ('roost_service'), ('roost_user'), ('roost_api')
) AS caller (role);
SELECT results_eq(
    'SELECT * FROM roost.users ORDER BY id',
    'SELECT * FROM before ORDER BY id',
    'and no account has changed'
);

-- get_me
SELECT is(
    as_caller('roost_user', person.id, 'SELECT (api.get_me()).email'),
    person.email,
    person.email || ' reads their own account'
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-00000000000a'::uuid, 'ada@example.com'),
        ('00000000-0000-7000-8000-00000000000b', 'grace@example.com')
) AS person (id, email);
SELECT ok(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a', 'SELECT row_to_json(api.get_me())'
    ) !~ 'argon2|password',
    'without the password hash'
);

-- update_me
SELECT is(
    as_caller(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        format('SELECT (api.update_me(%s)).preferences', change.arguments)
    )::jsonb,
    change.preferences::jsonb,
    change.arguments || ': ' || change.what
)
FROM (
    VALUES
        ('display_name => ''Ada''', '{}', 'preferences stay'),
        ('preferences => ''{"a": 1, "b": {"c": 2}}''', '{"a": 1, "b": {"c": 2}}', 'are set'),
        ('preferences => ''{"b": {"d": 3}}''', '{"a": 1, "b": {"d": 3}}', 'merged by key'),
        ('preferences => ''{"a": null, "z": null}''', '{"b": {"d": 3}}', 'null removes a key'),
        ('preferences => ''{"e": {"f": null}}''', '{"b": {"d": 3}, "e": {"f": null}}',
            'deeper nulls are values'),
        ('security_settings => ''{"alerts": true}''', '{"b": {"d": 3}, "e": {"f": null}}',
            'apart from security settings'),
        ('preferences => NULL', '{"b": {"d": 3}, "e": {"f": null}}', 'nothing is asked')
) AS change (arguments, preferences, what);
SELECT results_eq(
    $$
        SELECT display_name, security_settings::jsonb, updated_at = now()
        FROM roost.users WHERE email::text = 'ada@example.com'
    $$,
    $$ VALUES ('Ada', '{"alerts": true}'::jsonb, true) $$,
    'name and security settings are kept, and the time of the change'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format('SELECT api.update_me(%s)', bad.arguments)
    ),
    '23514',
    NULL,
    bad.what
)
FROM (
    VALUES
        ('display_name => repeat(''x'', 101)', 'a name of 101 characters is refused'),
        ('preferences => ''[1]''', 'preferences have to be an object'),
        ('preferences => ''7''', 'and not a number'),
        ('security_settings => ''"x"''', 'security settings have to be an object'),
        ('preferences => (SELECT jsonb_object_agg(g::text, gen_random_uuid())'
            ' FROM generate_series(1, 5000) AS g)', 'at most 64 KiB are taken')
) AS bad (arguments, what);
SELECT results_eq(
    $$ SELECT * FROM roost.users WHERE email::text = 'grace@example.com' $$,
    $$ SELECT * FROM before WHERE email::text = 'grace@example.com' $$,
    'neither the refused changes nor those of the other person touched this account'
);

-- sign_up
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        $$
            SELECT ((signed_in).account).email || ((signed_in).account).user_metadata::text
            FROM roost.sign_up(
                'New@Example.com',
                '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g',
                '{"locale": "en", "none": null}',
                sha256('secret'),
                '30 days',
                'agent',
                '{"device_id": "00000000-0000-7000-8000-0000000000da", "device_name": "Phone",
                  "device_type": "phone", "platform": "os", "capabilities": {"push": true}}'
            ) AS signed_in
        $$
    ),
    'new@example.com{"locale": "en"}',
    'an account is made; the address is kept in lower case'
);
SELECT results_eq(
    $$
        SELECT
            account.last_login, account.status, device.device_name, device.device_type,
            device.platform, device.capabilities::jsonb, session.user_agent,
            session.expires_at, session.revoked_at, session.refresh_token_hash
        FROM roost.users AS account
        JOIN roost.devices AS device ON device.user_id = account.id
        JOIN roost.sessions AS session ON session.device_id = device.id
        WHERE account.email::text = 'new@example.com'
    $$,
    $$ VALUES (
        now(), 'active'::roost.user_status, 'Phone', 'phone'::roost.device_type, 'os',
        '{"push": true}'::jsonb, 'agent', now() + interval '30 days', NULL::timestamptz,
        sha256('secret')
    ) $$,
    'with a device and a session; somebody else''s device is not taken over'
);
SELECT throws_ok(
    calling('roost_gateway', NULL, format(
        'SELECT roost.sign_up(%L, %L, ''{}'', %L, ''1 day'', '''', NULL)',
        bad.email, bad.hash, bad.refresh_hash
    )),
    bad.sqlstate,
    NULL,
    bad.what
)
FROM (
    VALUES
        ('ADA@example.com', '$argon2id$v=19$x', sha256(''), 'RO107', 'a taken address is refused'),
        ('no address', '$argon2id$v=19$x', sha256(''), '23514', 'so is what is no address'),
        ('x@example.com', 'correct horse', sha256(''), '23514', 'and a password in the clear'),
        ('x@example.com', '$argon2id$v=19$x', 'token', '23514', 'and a token in the clear')
) AS bad (email, hash, refresh_hash, sqlstate, what);
SELECT is((SELECT count(*) FROM roost.users), 3::bigint, 'and no account was made of those');

-- get_user
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        'SELECT email FROM roost.get_user(''00000000-0000-7000-8000-0000000000aa'')'
    ),
    'ada@example.com',
    'the person of a session is read'
);
SELECT throws_ok(
    calling('roost_gateway', NULL, 'SELECT roost.get_user(gen_random_uuid())'),
    'RO102',
    NULL,
    'of a living one'
);

-- update_user
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da', other.id
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000001aa'::uuid),
        ('00000000-0000-7000-8000-0000000002aa')
) AS other (id);
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        $$
            SELECT email || user_metadata::text FROM roost.update_user(
                '00000000-0000-7000-8000-0000000000aa', 'Countess@example.com', NULL, '{"k": 1}'
            )
        $$
    ),
    'countess@example.com{"k": 1}',
    'address and metadata are changed'
);
SELECT is(
    (SELECT count(*) FROM roost.sessions WHERE revoked_at IS NOT NULL), 0::bigint,
    'which ends no session'
);
SELECT lives_ok(
    calling(
        'roost_gateway',
        NULL,
        $$
            SELECT roost.update_user(
                '00000000-0000-7000-8000-0000000000aa', NULL, '$argon2id$v=19$new', '{"k": null}'
            )
        $$
    ),
    'the password is changed'
);
SELECT results_eq(
    $$
        SELECT email::text, password_hash, user_metadata::jsonb
        FROM roost.users WHERE id = '00000000-0000-7000-8000-00000000000a'
    $$,
    $$ VALUES ('countess@example.com', '$argon2id$v=19$new', '{}'::jsonb) $$,
    'and the address stays'
);
SELECT results_eq(
    'SELECT id FROM roost.sessions WHERE revoked_at IS NOT NULL ORDER BY id',
    $$ VALUES
        ('00000000-0000-7000-8000-0000000001aa'::uuid),
        ('00000000-0000-7000-8000-0000000002aa') $$,
    'a new password ends the other sessions of the person'
);
SELECT throws_ok(
    calling('roost_gateway', NULL, format(
        'SELECT roost.update_user(%L, %L, %L, %L)', bad.session_id, bad.email, bad.hash, bad.data
    )),
    bad.sqlstate,
    NULL,
    bad.what
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000bb', 'COUNTESS@example.com', NULL, NULL, 'RO107',
            'a taken address is refused'),
        ('00000000-0000-7000-8000-0000000000bb', 'no address', NULL, NULL, '23514',
            'so is what is no address'),
        ('00000000-0000-7000-8000-0000000000bb', NULL, 'correct horse', NULL, '23514',
            'a password in the clear'),
        ('00000000-0000-7000-8000-0000000000bb', NULL, NULL, '[]', '23514',
            'metadata that is no object'),
        ('00000000-0000-7000-8000-0000000001aa', 'x@example.com', NULL, NULL, 'RO102',
            'and a session that is over')
) AS bad (session_id, email, hash, data, sqlstate, what);
SELECT results_eq(
    $$ SELECT * FROM roost.users WHERE email::text = 'grace@example.com' $$,
    $$ SELECT * FROM before WHERE email::text = 'grace@example.com' $$,
    'the other account is as it was'
);

-- Leaving the state active ends all sessions, whoever does it
SELECT set_config('roost.gateway', 'on', true), set_config('roost.touched', '', true);
UPDATE roost.users SET status = 'suspended' WHERE email::text = 'countess@example.com';
SELECT is(
    (SELECT count(*) FROM roost.sessions WHERE revoked_at IS NULL
        AND user_id = '00000000-0000-7000-8000-00000000000a'),
    0::bigint,
    'a suspended person has no session'
);
SELECT is(
    current_setting('roost.touched'),
    E'user:00000000-0000-7000-8000-00000000000a\n!session:00000000-0000-7000-8000-0000000000aa',
    'the inbox is told, then the sockets of the one that still lived are closed'
);
SELECT is(
    (SELECT count(*) FROM roost.sessions WHERE revoked_at IS NULL
        AND user_id = '00000000-0000-7000-8000-00000000000b'),
    1::bigint,
    'others keep theirs'
);
SELECT throws_ok(
    calling(
        'roost_gateway', NULL, 'SELECT roost.get_user(''00000000-0000-7000-8000-0000000000aa'')'
    ),
    'RO103',
    NULL,
    'the person is told that the account is not active'
);

SELECT * FROM finish();

ROLLBACK;

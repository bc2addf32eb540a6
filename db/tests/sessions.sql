-- Sessions: throttled sign-in, rotation of refresh tokens, ending sessions, listing one's own.
BEGIN;

SELECT plan(117);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000aa'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000001da',
    '00000000-0000-7000-8000-0000000001aa'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000b',
    '00000000-0000-7000-8000-0000000000db',
    '00000000-0000-7000-8000-0000000000bb'
);
SELECT set_config('roost.gateway', 'on', true);

-- Sign-ins from an address, one after another: what came of each.
CREATE FUNCTION pg_temp.guess(p_email text, p_address text, p_times integer)
RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_outcomes text[];
BEGIN
    FOR attempt IN 1..p_times LOOP
        BEGIN
            PERFORM roost.begin_sign_in(p_email, p_address);
            v_outcomes := v_outcomes || 'checked'::text;
        EXCEPTION
            WHEN SQLSTATE 'RO106' THEN
                v_outcomes := v_outcomes || 'refused'::text;
        END;
    END LOOP;
    RETURN v_outcomes;
END;
$$;

-- As if the last attempt had been that long ago.
CREATE FUNCTION pg_temp.let_pass(p_time interval)
RETURNS void
LANGUAGE sql
AS $$
    UPDATE roost.login_attempts
    SET last_attempt_at = last_attempt_at - p_time, blocked_until = blocked_until - p_time;
$$;

-- Who may call
SELECT throws_ok(
    calling(caller.role, '00000000-0000-7000-8000-00000000000a', called.query),
    '42501',
    NULL,
    format('%s may not call %s', caller.role, called.query)
)
FROM (
    VALUES
        ('SELECT roost.begin_call(''anon'', NULL)'),
        ('SELECT roost.begin_sign_in(''ada@example.com'', ''192.0.2.1'')'),
        ('SELECT roost.begin_sign_up(''x@example.com'', ''192.0.2.1'')'),
        ('SELECT roost.finish_sign_in(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)'),
        ('SELECT roost.refresh_session(NULL, NULL, NULL, NULL)'),
        ('SELECT roost.end_sessions(''00000000-0000-7000-8000-0000000000aa'', ''global'')')
) AS called (query)
CROSS JOIN (
    VALUES ('roost_anon'), ('roost_service'), ('roost_user'), ('roost_api')
) AS caller (role);
SELECT throws_ok(
    calling(caller.role, NULL, called.query),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.query)
)
FROM (
    VALUES
        ('SELECT api.list_sessions()'),
        ('SELECT api.revoke_session(''00000000-0000-7000-8000-0000000000aa'')')
) AS called (query)
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT is(
    (SELECT count(*) FROM roost.sessions WHERE revoked_at IS NULL), 3::bigint,
    'and every session still lives'
);
SELECT is_empty('SELECT FROM roost.login_attempts', 'and no attempt was counted');

-- begin_call
CREATE FUNCTION pg_temp.identity()
RETURNS text
LANGUAGE sql
RETURN concat_ws(
    ' ',
    right(current_setting('roost.user_id', true), 2),
    right(current_setting('roost.device_id', true), 2),
    right(current_setting('roost.session_id', true), 2)
);
SELECT is(
    concat_ws(
        ' ',
        as_caller(
            'roost_gateway',
            NULL,
            format('SELECT roost.begin_call(%L, %L)', kind.name, kind.session_id)
        ),
        nullif(pg_temp.identity(), '')
    ),
    kind.answer,
    format('begin_call answers a caller''s role: %s', kind.name)
)
FROM (
    VALUES
        ('anon', NULL, 'roost_anon'),
        ('service', NULL, 'roost_service'),
        ('anon', '00000000-0000-7000-8000-0000000000aa', 'roost_anon'),
        ('user', '00000000-0000-7000-8000-0000000000aa', 'roost_user 0a da aa')
) AS kind (name, session_id, answer);
SELECT throws_ok(
    calling('roost_gateway', NULL, format('SELECT roost.begin_call(%L, %L)', bad.name, bad.id)),
    bad.sqlstate,
    NULL,
    format('begin_call refuses %s with session %s', bad.name, bad.id)
)
FROM (
    VALUES
        ('user', '00000000-0000-7000-8000-0000000000ff', 'RO102'),
        ('user', NULL, 'RO102'),
        ('owner', '00000000-0000-7000-8000-0000000000bb', '20000'),
        (NULL, '00000000-0000-7000-8000-0000000000bb', '20000')
) AS bad (name, id, sqlstate);
SELECT is(pg_temp.identity(), '0a da aa', 'and the identity is what it was');
SELECT set_config('roost.' || setting.name, '', true)
FROM (VALUES ('user_id'), ('device_id'), ('session_id')) AS setting (name);

-- begin_sign_in
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        'SELECT user_id FROM roost.begin_sign_in(''Ada@Example.com'', ''192.0.2.1'')'
    ),
    '00000000-0000-7000-8000-00000000000a',
    'the person is found, in whatever case the address is written'
);
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        'SELECT num_nulls(user_id, password_hash)'
        ' FROM roost.begin_sign_in(''nobody@example.com'', ''192.0.2.1'')'
    ),
    '2',
    'for an address without an account there is nothing to check'
);
SELECT results_eq(
    'SELECT subject, failures FROM roost.login_attempts ORDER BY failures, subject',
    $$
        SELECT roost.account_subject(email), 1
        FROM (VALUES ('ada@example.com'), ('nobody@example.com')) AS known (email)
        UNION ALL SELECT 'address:192.0.2.1', 2
        ORDER BY 2, 1
    $$,
    'either is counted against the account and against the address'
);
SELECT is(
    pg_temp.guess(attempt.email, attempt.address, 9),
    '{checked,checked,checked,checked,checked,refused,refused,refused,refused}'::text[],
    attempt.what
)
FROM (
    VALUES
        ('ada@example.com', '192.0.2.2', 'after 5 failures an account is waited for'),
        ('nobody@example.com', '192.0.2.3', 'and so is one that does not exist')
) AS attempt (email, address, what);
SELECT is(
    (SELECT failures FROM roost.login_attempts WHERE subject = 'address:192.0.2.2'), 5,
    'a refused attempt is counted nowhere'
);
SELECT is(
    pg_temp.guess('grace@example.com', '192.0.2.2', 1), '{checked}'::text[],
    'another account is open from there'
);
SELECT is(
    pg_temp.guess('ada@example.com', '192.0.2.9', 1), '{refused}'::text[],
    'the account is closed from elsewhere'
);

-- The wait doubles up to a quarter of an hour, and an hour of peace ends it
CREATE TEMPORARY TABLE waits (attempt integer, wait integer);
DO $$
BEGIN
    FOR attempt IN 7..18 LOOP
        PERFORM pg_temp.let_pass('15 minutes');
        PERFORM roost.begin_sign_in('ada@example.com', format('198.51.100.%s', attempt));
        INSERT INTO waits
        SELECT attempt, round(extract(EPOCH FROM blocked_until - last_attempt_at))
        FROM roost.login_attempts
        WHERE subject = roost.account_subject('ada@example.com');
    END LOOP;
END;
$$;
SELECT results_eq(
    'SELECT wait FROM waits ORDER BY attempt',
    'VALUES (4), (8), (16), (32), (64), (128), (256), (512), (900), (900), (900), (900)',
    'each failure doubles the wait, up to 15 minutes'
);
DO $$
BEGIN
    PERFORM roost.begin_sign_in('ada@example.com', '192.0.2.2');
EXCEPTION
    WHEN SQLSTATE 'RO106' THEN
        DECLARE
            v_detail text;
        BEGIN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
            PERFORM set_config('test.detail', v_detail, true);
        END;
END;
$$;
SELECT matches(
    current_setting('test.detail'), '^Seconds to wait: (900|899)$', 'the error says how long'
);
SELECT pg_temp.let_pass('61 minutes');
SELECT is(
    pg_temp.guess('ada@example.com', '192.0.2.2', 6),
    '{checked,checked,checked,checked,checked,checked}'::text[],
    'after an hour without an attempt the count starts again'
);

-- An address
DELETE FROM roost.login_attempts;
SELECT is(
    pg_temp.guess(format('person%s@example.com', number), '192.0.2.4', 1),
    CASE WHEN number <= 51 THEN '{checked}'::text[] ELSE '{refused}' END,
    format('account %s from one address', number)
)
FROM (VALUES (1), (52)) AS tried (number)
CROSS JOIN LATERAL (
    SELECT count(roost.begin_sign_in(format('other%s@example.com', filler), '192.0.2.4'))
    FROM generate_series(1, CASE WHEN number = 52 THEN 50 ELSE 0 END) AS filler
) AS before;
SELECT is(
    pg_temp.guess('person1@example.com', '192.0.2.5', 1), '{checked}'::text[],
    'the account is open from elsewhere'
);

-- What is old is deleted in passing, ten rows at a time
UPDATE roost.login_attempts SET last_attempt_at = now() - interval '2 hours';
SELECT is(pg_temp.guess('x@example.com', '192.0.2.6', 1), '{checked}'::text[], 'an attempt');
SELECT is(
    (SELECT count(*) FROM roost.login_attempts WHERE last_attempt_at < now() - interval '1 hour'),
    43::bigint,
    'forgets ten of 53 old counters'
);

-- begin_sign_up
DELETE FROM roost.login_attempts;
SELECT is(
    as_caller(
        'roost_gateway', NULL, format('SELECT roost.begin_sign_up(%L, ''192.0.2.8'')', asked.email)
    ),
    asked.free,
    asked.what
)
FROM (
    VALUES
        ('new@example.com', 'true', 'an address without an account is free'),
        ('Ada@Example.com', 'false', 'one with an account is not, in whatever case it is written')
) AS asked (email, free, what);
SELECT throws_ok(
    $$ SELECT roost.begin_sign_up('ada', '192.0.2.8') $$, '23514', NULL, 'ada is no address'
);
SELECT results_eq(
    'SELECT subject, failures FROM roost.login_attempts',
    $$ VALUES ('address:sign_up:192.0.2.8', 2) $$,
    'what asks about an address is counted, apart from sign-ins'
);
UPDATE roost.login_attempts SET failures = 100;
SELECT lives_ok(
    $$ SELECT roost.begin_sign_up('new@example.com', '192.0.2.8') $$, 'sign-up 101 earns a wait'
);
SELECT throws_ok(
    $$ SELECT roost.begin_sign_up('new@example.com', '192.0.2.8') $$,
    'RO106',
    NULL,
    'and the next one has to wait'
);

-- finish_sign_in
DELETE FROM roost.login_attempts;
SELECT pg_temp.guess('grace@example.com', '192.0.2.7', 3);
CREATE FUNCTION pg_temp.finish(p_hash text, p_device jsonb, p_new_hash text DEFAULT NULL)
RETURNS roost.signed_in
LANGUAGE sql
AS $$
    SELECT roost.finish_sign_in(
        '00000000-0000-7000-8000-00000000000b', 'GRACE@example.com', '192.0.2.7', p_hash,
        p_new_hash, sha256('new'), '30 days', repeat('x', 300), p_device
    );
$$;
SELECT is(
    (pg_temp.finish('$argon2id$v=19$other', NULL)).session_id, NULL,
    'a password that has changed in between opens nothing'
);
SELECT is(
    (SELECT count(*) FROM roost.sessions), 3::bigint, 'no session'
);
DELETE FROM roost.login_attempts;
SELECT pg_temp.guess('grace@example.com', '192.0.2.7', 3);
SELECT isnt(
    (pg_temp.finish(
        '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g', NULL, '$argon2id$v=19$rehashed'
    )).session_id,
    NULL,
    'the right one opens a session'
);
SELECT results_eq(
    $$
        SELECT
            length(session.user_agent), length(device.platform), device.device_name,
            device.device_type, account.last_login, account.password_hash
        FROM roost.sessions AS session
        JOIN roost.devices AS device ON device.id = session.device_id
        JOIN roost.users AS account ON account.id = session.user_id
        WHERE session.refresh_token_hash = sha256('new')
    $$,
    $$ VALUES (200, 200, '', 'other'::roost.device_type, now(), '$argon2id$v=19$rehashed') $$,
    'on a device of its own, and stores the newer hash'
);
SELECT results_eq(
    'SELECT subject, failures, blocked_until FROM roost.login_attempts',
    $$ VALUES ('address:192.0.2.7', 2, NULL::timestamptz) $$,
    'the account''s failures are forgotten, the address has its charge back'
);
SELECT is(
    (pg_temp.finish(
        '$argon2id$v=19$rehashed',
        '{"device_id": "00000000-0000-7000-8000-0000000000db", "device_name": "Laptop"}'
    )).device_id,
    '00000000-0000-7000-8000-0000000000db',
    'on a device that the person has'
);
SELECT is(
    (SELECT device_name FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000db'),
    'Laptop',
    'which takes the name that was sent'
);
SELECT throws_ok(
    format('SELECT pg_temp.finish(''$argon2id$v=19$rehashed'', %L)', bad.device),
    bad.sqlstate,
    NULL,
    bad.what
)
FROM (
    VALUES
        ('{"device_id": "00000000-0000-7000-8000-0000000000da"}', 'RO201',
            'not on somebody else''s device'),
        ('{"device_type": "toaster"}', '22P02', 'not on an unknown type of device'),
        ('{"capabilities": []}', '23514', 'not with capabilities that are no object')
) AS bad (device, sqlstate, what);
SELECT is((SELECT count(*) FROM roost.sessions), 5::bigint, 'and none of those opened a session');
UPDATE roost.devices SET status = 'revoked' WHERE id = '00000000-0000-7000-8000-0000000000db';
SELECT throws_ok(
    $$ SELECT pg_temp.finish(
        '$argon2id$v=19$rehashed', '{"device_id": "00000000-0000-7000-8000-0000000000db"}'
    ) $$,
    'RO201',
    NULL,
    'not on a revoked device'
);
UPDATE roost.users SET status = 'closed' WHERE email::text = 'grace@example.com';
SELECT throws_ok(
    $$ SELECT pg_temp.finish('$argon2id$v=19$rehashed', NULL) $$,
    'RO103',
    NULL,
    'not for a closed account'
);
SELECT is(
    (SELECT count(*) FROM roost.sessions WHERE revoked_at IS NULL
        AND user_id = '00000000-0000-7000-8000-00000000000b'),
    0::bigint,
    'which has no session left'
);

-- refresh_session
CREATE FUNCTION pg_temp.refresh(p_session_id uuid, p_presented bytea, p_successor bytea)
RETURNS text
LANGUAGE sql
AS $$
    SELECT format('%s %s', (answer.refreshed).outcome, ((answer.refreshed).session).session_id)
    FROM (
        SELECT roost.refresh_session(p_session_id, p_presented, p_successor, '30 days') AS refreshed
    ) AS answer;
$$;
SELECT set_config('roost.touched', '', true);
SELECT is(
    pg_temp.refresh(
        '00000000-0000-7000-8000-0000000000aa', sha256(step.presented), sha256(step.successor)
    ),
    step.outcome,
    step.what
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000aa'::bytea, 'second'::bytea,
            'rotated 00000000-0000-7000-8000-0000000000aa', 'the current token is rotated'),
        ('00000000-0000-7000-8000-0000000000aa', 'second',
            'repeated 00000000-0000-7000-8000-0000000000aa', 'and once more: its successor stands'),
        ('second', 'third',
            'rotated 00000000-0000-7000-8000-0000000000aa', 'the successor is rotated'),
        ('second', 'third',
            'repeated 00000000-0000-7000-8000-0000000000aa', 'and may be presented again')
) AS step (presented, successor, outcome, what);
SELECT results_eq(
    $$
        SELECT
            refresh_token_hash, previous_refresh_token_hash, expires_at, last_activity,
            clock_timestamp() - refreshed_at < interval '5 seconds'
        FROM roost.sessions WHERE id = '00000000-0000-7000-8000-0000000000aa'
    $$,
    $$ VALUES (sha256('third'), sha256('second'), now() + interval '30 days', now(), true) $$,
    'the session lives on from now'
);
SELECT is(current_setting('roost.touched'), '', 'and no socket is closed');
UPDATE roost.sessions SET refreshed_at = refreshed_at - interval '11 seconds'
WHERE id = '00000000-0000-7000-8000-0000000000aa';
SELECT is(
    pg_temp.refresh('00000000-0000-7000-8000-0000000000aa', sha256('second'), sha256('third')),
    'replayed ',
    'after the grace the previous token is a replay'
);
SELECT is(
    pg_temp.refresh('00000000-0000-7000-8000-0000000001aa', sha256('guess'), sha256('x')),
    'replayed ',
    'and so is any other at any time'
);
SELECT results_eq(
    $$
        SELECT id, revoked_at FROM roost.sessions
        WHERE user_id = '00000000-0000-7000-8000-00000000000a' ORDER BY id
    $$,
    $$ VALUES
        ('00000000-0000-7000-8000-0000000000aa'::uuid, now()),
        ('00000000-0000-7000-8000-0000000001aa', now()) $$,
    'a replay ends the session'
);
SELECT is(
    current_setting('roost.touched'),
    E'!session:00000000-0000-7000-8000-0000000000aa\n!session:00000000-0000-7000-8000-0000000001aa',
    'and closes its sockets'
);
SELECT is(
    pg_temp.refresh('00000000-0000-7000-8000-0000000000aa', sha256('third'), sha256('fourth')),
    'unknown ',
    'not even the current token revives it'
);
SELECT is(
    pg_temp.refresh(gen_random_uuid(), sha256('x'), sha256('y')),
    'unknown ',
    'a session that never was is unknown'
);
UPDATE roost.sessions SET revoked_at = NULL, expires_at = now() - interval '1 second'
WHERE id = '00000000-0000-7000-8000-0000000000aa';
SELECT is(
    pg_temp.refresh('00000000-0000-7000-8000-0000000000aa', sha256('third'), sha256('fourth')),
    'unknown ',
    'and so is one that has expired'
);
SELECT throws_ok(
    format(
        'SELECT pg_temp.refresh(%L, %L, %L)',
        '00000000-0000-7000-8000-0000000000bb',
        sha256('00000000-0000-7000-8000-0000000000bb'),
        sha256('x')
    ),
    'RO103',
    NULL,
    'the holder of a token learns that the account is closed'
);

-- list_sessions, revoke_session, end_sessions
DELETE FROM roost.sessions;
UPDATE roost.users SET status = 'active';
SELECT make_session(
    session.user_id::uuid,
    ('00000000-0000-7000-8000-0000000000d' || session.name)::uuid,
    ('00000000-0000-7000-8000-0000000000' || session.id)::uuid
)
FROM (
    VALUES
        ('a1', '00000000-0000-7000-8000-00000000000a', 'a'),
        ('a2', '00000000-0000-7000-8000-00000000000a', 'a'),
        ('a3', '00000000-0000-7000-8000-00000000000a', 'a'),
        ('a4', '00000000-0000-7000-8000-00000000000a', 'a'),
        ('b1', '00000000-0000-7000-8000-00000000000b', 'b')
) AS session (id, user_id, name);
UPDATE roost.sessions SET expires_at = now() WHERE id::text LIKE '%a4';
CREATE FUNCTION pg_temp.living()
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(right(id::text, 2), ' ' ORDER BY id)
    FROM roost.sessions WHERE revoked_at IS NULL;
$$;
SELECT set_config('roost.session_id', '00000000-0000-7000-8000-0000000000a2', true);
SELECT is(
    as_caller(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT string_agg(right(id::text, 2) || current::text, '' '' ORDER BY position)'
            ' FROM api.list_sessions(%s) WITH ORDINALITY AS listed ('
            'id, device_id, user_agent, current, seen, expires, created, revoked, position)',
            page.arguments
        )
    ),
    page.sessions,
    page.what
)
FROM (
    VALUES
        ('', 'a3false a2true a1false', 'a person''s living sessions are listed, newest first'),
        ('2', 'a3false a2true', 'a page at a time'),
        ('2, ''00000000-0000-7000-8000-0000000000a2''', 'a1false', 'by key'),
        ('2, ''00000000-0000-7000-8000-0000000000a1''', NULL, 'to the end')
) AS page (arguments, sessions, what);
SELECT throws_ok(
    calling(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.list_sessions(%s)', bad.size)
    ),
    'RO302',
    NULL,
    'a page of ' || bad.size
)
FROM (VALUES ('0'), ('201'), ('NULL')) AS bad (size);
SELECT throws_ok(
    calling(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.revoke_session(%L)', bad.id)
    ),
    'RO201',
    NULL,
    bad.what
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000b1', 'somebody else''s session is not to be found'),
        ('00000000-0000-7000-8000-0000000000ff', 'just like one that never was'),
        (NULL, 'or none')
) AS bad (id, what);
SELECT is(pg_temp.living(), 'a1 a2 a3 a4 b1', 'and all live');
SELECT set_config('roost.touched', '', true);
SELECT is(
    as_caller(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        'SELECT revoked_at = now()'
        ' FROM api.revoke_session(''00000000-0000-7000-8000-0000000000a1'')'
    ),
    'true',
    'a session is ended, and once more'
)
FROM generate_series(1, 2);
SELECT is(pg_temp.living(), 'a2 a3 a4 b1', 'that one alone');
SELECT is(
    current_setting('roost.touched'),
    '!session:00000000-0000-7000-8000-0000000000a1',
    'its sockets are closed, once'
);
SELECT throws_ok(
    calling('roost_gateway', NULL, format('SELECT roost.end_sessions(%L, %L)', bad.id, bad.scope)),
    bad.sqlstate,
    NULL,
    bad.what
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000a1', 'global', 'RO102', 'an ended session ends none'),
        ('00000000-0000-7000-8000-0000000000a2', 'all', 'RO302', 'nor does an unknown scope'),
        ('00000000-0000-7000-8000-0000000000a2', NULL, 'RO302', 'or none')
) AS bad (id, scope, sqlstate, what);
SELECT is(pg_temp.living(), 'a2 a3 a4 b1', 'and all live');
SELECT is(
    coalesce(
        as_caller(
            'roost_gateway',
            NULL,
            format('SELECT roost.end_sessions(%L, %L)', step.id, step.scope)
        ),
        ''
    ) || pg_temp.living(),
    step.living,
    step.scope
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000a2', 'others', 'a2 b1'),
        ('00000000-0000-7000-8000-0000000000a2', 'local', 'b1')
) AS step (id, scope, living);
UPDATE roost.sessions SET revoked_at = NULL, expires_at = now() + interval '1 hour';
SELECT lives_ok(
    calling(
        'roost_gateway',
        NULL,
        'SELECT roost.end_sessions(''00000000-0000-7000-8000-0000000000a2'', ''global'')'
    ),
    'signing out everywhere'
);
SELECT is(pg_temp.living(), 'b1', 'ends all of the person, and nobody else''s');

-- A session that is deleted, with its account, takes its sockets along
SELECT set_config('roost.touched', '', true);
DELETE FROM roost.users WHERE email::text = 'grace@example.com';
SELECT is(
    current_setting('roost.touched'),
    '!session:00000000-0000-7000-8000-0000000000b1',
    'the sockets of a deleted session are closed'
);

SELECT * FROM finish();

ROLLBACK;

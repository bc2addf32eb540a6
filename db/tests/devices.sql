-- Devices and the editor extensions on them: naming, moving, listing, revoking; each refusal.
BEGIN;

SELECT plan(89);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(session.user_id, session.device_id, session.id)
FROM (
    VALUES
        (
            '00000000-0000-7000-8000-00000000000a'::uuid,
            '00000000-0000-7000-8000-0000000000d1'::uuid,
            '00000000-0000-7000-8000-0000000000a1'::uuid
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            '00000000-0000-7000-8000-0000000000d2',
            '00000000-0000-7000-8000-0000000000a2'
        ),
        (
            '00000000-0000-7000-8000-00000000000b',
            '00000000-0000-7000-8000-0000000000e1',
            '00000000-0000-7000-8000-0000000000b1'
        )
) AS session (user_id, device_id, id);
SELECT set_config('roost.gateway', 'on', true);

CREATE FUNCTION pg_temp.on_session(p_session_id uuid)
RETURNS void
LANGUAGE sql
AS $$
    SELECT
        set_config('roost.session_id', session.id::text, true),
        set_config('roost.device_id', session.device_id::text, true),
        set_config('roost.touched', '', true)
    FROM roost.sessions AS session WHERE session.id = p_session_id;
$$;
CREATE FUNCTION pg_temp.as_ada(p_query text)
RETURNS text
LANGUAGE sql
RETURN as_caller('roost_user', '00000000-0000-7000-8000-00000000000a', p_query);
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(device ORDER BY id) FROM roost.devices AS device),
        (SELECT json_agg(session ORDER BY id) FROM roost.sessions AS session),
        (SELECT json_agg(connection ORDER BY id) FROM roost.extension_connections AS connection),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event)
    );
$$;
CREATE TEMPORARY TABLE known (name text PRIMARY KEY, value text);
INSERT INTO known SELECT 'state', pg_temp.state();

-- Who may call
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT api.' || called.call),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM (
    VALUES
        ('register_device(''x'', ''phone'')'),
        ('list_devices()'),
        ('revoke_device(''00000000-0000-7000-8000-0000000000d1'')'),
        ('open_extension_connection(''vscode'')'),
        ('heartbeat_extension_connection(NULL)'),
        ('close_extension_connection(NULL)'),
        ('list_extension_connections()')
) AS called (call)
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'and nothing changed');

-- register_device: names the device of the session
SELECT pg_temp.on_session('00000000-0000-7000-8000-0000000000a1');
SELECT is(
    pg_temp.as_ada(
        'SELECT device_name || device_type || platform || capabilities::text || current'
        ' FROM api.register_device(' || step.arguments || ')'
    ),
    step.device,
    step.what
)
FROM (
    VALUES
        ('''Laptop'', ''laptop'', ''os 1'', ''{"push": true}''',
            'Laptoplaptopos 1{"push": true}true', 'the device is named'),
        ('''Work'', ''desktop''', 'Workdesktopos 1{"push": true}true', 'what is left out stays'),
        ('''Work'', ''desktop'', device_id => ''00000000-0000-7000-8000-0000000000d1''',
            'Workdesktopos 1{"push": true}true', 'its own id changes nothing')
) AS step (arguments, device, what);
SELECT is(
    current_setting('roost.touched'),
    E'user:00000000-0000-7000-8000-00000000000a\n'
    'user:00000000-0000-7000-8000-00000000000a\nuser:00000000-0000-7000-8000-00000000000a',
    'the person''s devices are told'
);
SELECT results_eq(
    $$
        SELECT topic, event, device_id, payload ->> 'device_id', payload ->> 'device_name'
        FROM realtime.events ORDER BY event_offset LIMIT 1
    $$,
    $$ VALUES (
        'user:00000000-0000-7000-8000-00000000000a', 'device.registered',
        '00000000-0000-7000-8000-0000000000d1'::uuid, '00000000-0000-7000-8000-0000000000d1',
        'Laptop'
    ) $$,
    'of what was registered'
);
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.register_device(%s)', bad.arguments)
    ),
    bad.sqlstate,
    NULL,
    bad.what
)
FROM (
    VALUES
        ('''x'', ''phone'', device_id => ''00000000-0000-7000-8000-0000000000e1''', 'RO201',
            'somebody else''s device is not to be found'),
        ('''x'', ''phone'', device_id => ''00000000-0000-7000-8000-0000000000ff''', 'RO201',
            'just like one that never was'),
        ('''x'', ''toaster''', '22P02', 'an unknown type is refused'),
        ('repeat(''x'', 101), ''phone''', '23514', 'so is too long a name'),
        ('''x'', ''phone'', repeat(''x'', 201)', '23514', 'too long a platform'),
        ('''x'', ''phone'', NULL, ''[]''', '23514', 'capabilities that are no object'),
        ('NULL, ''phone''', '23502', 'no name'),
        ('''x'', NULL', '23502', 'and no type')
) AS bad (arguments, sqlstate, what);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing changed');

-- register_device: moves the session to a device that the person has
SELECT pg_temp.on_session('00000000-0000-7000-8000-0000000000a2');
SELECT is(
    pg_temp.as_ada($$
        SELECT id || ' ' || current FROM api.register_device(
            'Work', 'desktop', device_id => '00000000-0000-7000-8000-0000000000d1'
        )
    $$),
    '00000000-0000-7000-8000-0000000000d1 true',
    'a session moves to another device'
);
SELECT is(
    current_setting('roost.device_id'), '00000000-0000-7000-8000-0000000000d1',
    'where the rest of the call comes from'
);
SELECT results_eq(
    'SELECT id, device_id FROM roost.sessions ORDER BY id',
    $$ VALUES
        ('00000000-0000-7000-8000-0000000000a1'::uuid,
            '00000000-0000-7000-8000-0000000000d1'::uuid),
        ('00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000d1'),
        ('00000000-0000-7000-8000-0000000000b1', '00000000-0000-7000-8000-0000000000e1') $$,
    'and no other session does'
);
SELECT is_empty(
    $$ SELECT FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000d2' $$,
    'the device that signing in made is gone'
);
-- Devices that stay behind, each with something that refers to it, and one that was named
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a',
    ('00000000-0000-7000-8000-00000000010' || number)::uuid,
    ('00000000-0000-7000-8000-00000000020' || number)::uuid
)
FROM generate_series(1, 5) AS number;
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-000000000101',
    '00000000-0000-7000-8000-000000000211'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-000000000105',
    '00000000-0000-7000-8000-000000000215'
);
UPDATE roost.sessions SET revoked_at = now() WHERE id = '00000000-0000-7000-8000-000000000215';
INSERT INTO roost.extension_connections (user_id, device_id, editor)
VALUES (
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-000000000102', 'vscode'
);
INSERT INTO roost.conversations (id, user_id)
VALUES ('00000000-0000-7000-8000-0000000000c1', '00000000-0000-7000-8000-00000000000b');
INSERT INTO roost.messages (conversation_id, seq, user_id, device_id, content)
VALUES (
    '00000000-0000-7000-8000-0000000000c1', 1, '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-000000000103', '{"text": "hello"}'
);
UPDATE roost.devices SET device_name = 'Phone' WHERE id = '00000000-0000-7000-8000-000000000104';
SELECT lives_ok(
    format(
        $$
            SELECT pg_temp.on_session(%L);
            SELECT pg_temp.as_ada('SELECT api.register_device(''Work'', ''desktop'','
                ' device_id => ''00000000-0000-7000-8000-0000000000d1'')');
        $$,
        '00000000-0000-7000-8000-00000000020' || number
    ),
    format('session %s moves', number)
)
FROM generate_series(1, 5) AS number;
SELECT results_eq(
    $$
        SELECT right(device.id::text, 3), count(session.id)
        FROM roost.devices AS device
        LEFT JOIN roost.sessions AS session ON session.device_id = device.id
        WHERE device.user_id = '00000000-0000-7000-8000-00000000000a'
        GROUP BY device.id ORDER BY device.id
    $$,
    $$ VALUES
        ('0d1', 7::bigint), ('101', 1), ('102', 0), ('103', 0), ('104', 0), ('105', 1) $$,
    'a device with a session, even one that is over, a connection, a message or a name stays'
);

-- list_devices
SELECT pg_temp.on_session('00000000-0000-7000-8000-000000000211');
SELECT is(
    pg_temp.as_ada(format(
        'SELECT string_agg(right(id::text, 3) || current::text, '' '' ORDER BY position)'
        ' FROM api.list_devices(%s) WITH ORDINALITY AS listed (id, name, type, platform,'
        ' capabilities, status, current, seen, created, updated, position)',
        page.arguments
    )),
    page.devices,
    page.what
)
FROM (
    VALUES
        ('', '105false 104false 103false 102false 101true 0d1false',
            'a person''s devices are listed, newest first'),
        ('2, ''00000000-0000-7000-8000-000000000103''', '102false 101true',
            'a page at a time, by key'),
        ('2, ''00000000-0000-7000-8000-0000000000d1''', NULL, 'to the end')
) AS page (arguments, devices, what);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.%s(0)', listed.function)
    ),
    'RO302',
    NULL,
    listed.function || ' has no empty pages'
)
FROM (VALUES ('list_devices'), ('list_extension_connections')) AS listed (function);

-- Extension connections
SELECT is(
    pg_temp.as_ada($$
        SELECT concat_ws(' ', right(device_id::text, 3), editor, version, workspace_path, state)
        FROM api.open_extension_connection('vscode', '1.2', '/src')
    $$),
    '101 vscode 1.2 /src connected',
    'an editor connects, on the device of the session'
);
INSERT INTO known
SELECT 'connection', id::text FROM roost.extension_connections WHERE version = '1.2';
SELECT is(
    pg_temp.as_ada(format(
        'SELECT concat_ws('' '', state, last_heartbeat = now(), closed_at = now())'
        ' FROM api.%s(%L%s)',
        step.function, (SELECT value FROM known WHERE name = 'connection'), step.arguments
    )),
    step.answer,
    step.function || step.arguments
)
FROM (
    VALUES
        ('heartbeat_extension_connection', ', ''idle''', 'idle t'),
        ('heartbeat_extension_connection', '', 'connected t'),
        ('close_extension_connection', '', 'closed t t'),
        ('close_extension_connection', '', 'closed t t')
) AS step (function, arguments, answer);
INSERT INTO roost.extension_connections (id, user_id, device_id, editor)
VALUES
    (
        '00000000-0000-7000-8000-0000000000f1',
        '00000000-0000-7000-8000-00000000000b',
        '00000000-0000-7000-8000-0000000000e1',
        'zed'
    ),
    (
        '00000000-0000-7000-8000-0000000000f2',
        '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-8000-000000000101',
        'zed'
    );
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        replace(
            'SELECT api.' || bad.call,
            '<closed>',
            (SELECT value FROM known WHERE name = 'connection')
        )
    ),
    bad.sqlstate,
    NULL,
    bad.what
)
FROM (
    VALUES
        ('heartbeat_extension_connection(''00000000-0000-7000-8000-0000000000f1'')', 'RO201',
            'somebody else''s connection has no heartbeat'),
        ('close_extension_connection(''00000000-0000-7000-8000-0000000000f1'')', 'RO201',
            'and is not closed'),
        ('heartbeat_extension_connection(NULL)', 'RO201', 'no connection'),
        ('close_extension_connection(NULL)', 'RO201', 'is no connection'),
        ('heartbeat_extension_connection(''<closed>'')', 'RO201', 'a closed one stays closed'),
        ('heartbeat_extension_connection(''00000000-0000-7000-8000-0000000000f2'', ''closed'')',
            'RO302', 'a heartbeat does not close'),
        ('open_extension_connection('''')', '23514', 'an editor has a name'),
        ('open_extension_connection(''vscode'', repeat(''1'', 101))', '23514',
            'a version of at most 100 characters'),
        ('open_extension_connection(''vscode'', '''', repeat(''/'', 4097))', '23514',
            'and a path of at most 4096')
) AS bad (call, sqlstate, what);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing changed');
SELECT is(
    pg_temp.as_ada(format(
        'SELECT string_agg(editor || state, '' '' ORDER BY position)'
        ' FROM api.list_extension_connections(%s) WITH ORDINALITY AS listed ('
        'id, device_id, editor, version, path, state, heartbeat, created, closed, position)',
        page.arguments
    )),
    page.connections,
    page.what
)
FROM (
    VALUES
        ('', 'vscodeclosed vscodeconnected zedconnected',
            'a person''s connections are listed, newest first'),
        ('5, ''00000000-0000-7000-8000-0000000000f3''', 'zedconnected', 'by key')
) AS page (arguments, connections, what);

-- revoke_device
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.revoke_device(%L)', bad.id)
    ),
    'RO201',
    NULL,
    bad.what
)
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000e1', 'somebody else''s device is not to be found'),
        ('00000000-0000-7000-8000-0000000000ff', 'just like one that never was'),
        (NULL, 'or none')
) AS bad (id, what);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing changed');
SELECT is(
    pg_temp.as_ada(
        'SELECT concat_ws('' '', status, current)'
        ' FROM api.revoke_device(''00000000-0000-7000-8000-000000000101'')'
    ),
    'revoked t',
    'a device is revoked, the calling one too'
);
SELECT is(
    current_setting('roost.touched'),
    E'device:00000000-0000-7000-8000-000000000101\n'
    'user:00000000-0000-7000-8000-00000000000a\n'
    '!session:00000000-0000-7000-8000-000000000211',
    'it is told, the person''s other devices are told, then its sockets are closed'
);
SELECT results_eq(
    $$ SELECT topic, payload ->> 'device_id' FROM realtime.events
        WHERE event = 'device.revoked' ORDER BY topic $$,
    $$ VALUES
        ('device:00000000-0000-7000-8000-000000000101', '00000000-0000-7000-8000-000000000101'),
        ('user:00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-000000000101') $$,
    'which device it is'
);
SELECT results_eq(
    $$ SELECT id FROM roost.sessions WHERE revoked_at IS NOT NULL ORDER BY id $$,
    $$ VALUES
        ('00000000-0000-7000-8000-000000000211'::uuid),
        ('00000000-0000-7000-8000-000000000215') $$,
    'its session is over, and no other'
);
SELECT results_eq(
    $$ SELECT device_id, count(*) FROM roost.extension_connections
        WHERE state <> 'closed' GROUP BY device_id ORDER BY device_id $$,
    $$ VALUES
        ('00000000-0000-7000-8000-0000000000e1'::uuid, 1::bigint),
        ('00000000-0000-7000-8000-000000000102', 1) $$,
    'its extension connections are closed, and no others'
);
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT is(
    pg_temp.as_ada(
        'SELECT status FROM api.revoke_device(''00000000-0000-7000-8000-000000000101'')'
    ),
    'revoked',
    'once more'
);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000a', 'SELECT api.' || bad.call),
    'RO201',
    NULL,
    'a revoked device takes no ' || bad.what
)
FROM (
    VALUES
        ('open_extension_connection(''vscode'')', 'connection'),
        ('register_device(''x'', ''phone'')', 'name')
) AS bad (call, what);
SELECT pg_temp.on_session('00000000-0000-7000-8000-0000000000a1');
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.register_device(''x'', ''phone'','
        ' device_id => ''00000000-0000-7000-8000-000000000101'')'
    ),
    'RO201',
    NULL,
    'and no session'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing changed');

SELECT * FROM finish();

ROLLBACK;

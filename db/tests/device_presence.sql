-- Presence of devices, people and channels; each kind of caller, each refusal.
BEGIN;

SELECT plan(133);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_session(
    device.person::uuid,
    ('00000000-0000-7000-8000-0000000000d' || device.name)::uuid,
    ('00000000-0000-7000-8000-0000000000e' || device.name)::uuid
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000a', 'a'),
    ('00000000-0000-7000-8000-00000000000a', 'b'),
    ('00000000-0000-7000-8000-00000000000b', 'c'),
    ('00000000-0000-7000-8000-00000000000c', 'd')
) AS device (person, name);
INSERT INTO roost.conversations (id, user_id)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a');
-- Shared; alone; shared until a moment ago.
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, left_at)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner', NULL
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'member', NULL
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner', NULL
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 'owner', NULL
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000c', 'member', now()
);
-- What is broadcast is then found in roost.touched, as by the server.
SELECT set_config('roost.gateway', 'on', true);
CREATE FUNCTION pg_temp.told()
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_lines text := current_setting('roost.touched', true);
BEGIN
    PERFORM set_config('roost.touched', '', true);
    RETURN (
        SELECT string_agg(
            concat_ws(
                ' ',
                regexp_replace(split_part(line, E'\t', 1), '[-0-9a-f]+(..)$', '\1'),
                nullif(split_part(line, E'\t', 2), ''),
                nullif(split_part(line, E'\t', 3), '')::jsonb ->> 'status',
                nullif(split_part(line, E'\t', 3), '')::jsonb ->> 'activity'
            ),
            ', '
            ORDER BY line
        )
        FROM unnest(string_to_array(v_lines, E'\n')) AS line
    );
END;
$$;
-- How people and devices are seen.
CREATE FUNCTION pg_temp.seen()
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat_ws(' ', right(presence.user_id::text, 1), presence.status, presence.activity),
        ', '
        ORDER BY presence.user_id
    )
    FROM roost.user_presence AS presence
    WHERE presence.status > 'offline';
$$;
-- Sessions by the last letter of their ids, those that are gone in upper case.
CREATE FUNCTION pg_temp.record(p_server text, p_sessions text, p_seconds_ago double precision)
RETURNS uuid[]
LANGUAGE sql
AS $$
    SELECT roost.record_presence(
        ('00000000-0000-7000-8000-0000000000c' || p_server)::uuid,
        array_agg(('00000000-0000-7000-8000-0000000000e' || lower(letter))::uuid),
        array_agg(letter = lower(letter)),
        array_agg(p_seconds_ago)
    )
    FROM string_to_table(p_sessions, NULL) AS letter;
$$;

-- For the gateway alone
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || refused.call),
    '42501',
    NULL,
    format('%s: not for %s', split_part(refused.call, '(', 1), caller.role)
)
FROM (VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_api')) AS caller (role)
CROSS JOIN (
    VALUES
    ('roost.beat(gen_random_uuid())'),
    ('roost.record_presence(gen_random_uuid(), ''{}'', ''{}'', ''{}'')'),
    ('roost.forget_servers(NULL, 1)'),
    ('realtime.record_presences(gen_random_uuid(), ''{}'', ''{}'', ''{}'', ''{}'', ''{}'')'),
    ('realtime.read_presences(gen_random_uuid(), ''{}'')')
) AS refused (call);
SELECT throws_ok(
    calling(
        caller.role, '00000000-0000-7000-8000-00000000000c',
        format(
            'SELECT roost.%s(ARRAY[''00000000-0000-7000-8000-00000000000a'']::uuid[])', inner_one
        )
    ),
    '42501',
    NULL,
    format('%s: not for %s', inner_one, caller.role)
)
FROM (VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')) AS caller (role)
CROSS JOIN (VALUES ('lock_presence'), ('announce_presence'), ('read_presence')) AS f (inner_one);

-- Servers
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.beat(%L)', beat.server)),
    beat.answer,
    format('beat %s answers %s', beat.place, beat.answer)
)
FROM (
    VALUES
    (1, '00000000-0000-7000-8000-0000000000c1', 'true'),
    (2, '00000000-0000-7000-8000-0000000000c1', 'false'),
    (3, '00000000-0000-7000-8000-0000000000c2', 'true')
) AS beat (place, server, answer)
ORDER BY beat.place;
UPDATE roost.servers SET beat_at = now() - interval '30 seconds'
WHERE id = '00000000-0000-7000-8000-0000000000c1';
SELECT results_eq(
    'SELECT right(id::text, 2) FROM roost.living_servers', $$ VALUES ('c2') $$,
    'a server that has not beaten for 30 seconds does not live'
);
SELECT lives_ok(
    $$ SELECT roost.beat('00000000-0000-7000-8000-0000000000c1') $$, 'but it may again'
);
SELECT is((SELECT count(*) FROM roost.living_servers), 2::bigint, 'then it does');

-- Devices that come and go
SELECT is(pg_temp.record('9', 'a', 0), NULL, 'an unknown server is told so');
SELECT is(pg_temp.seen(), NULL, 'and nobody is there');
SELECT is(
    as_caller(
        'roost_gateway', NULL,
        $$
            SELECT roost.record_presence(
                '00000000-0000-7000-8000-0000000000c1',
                ARRAY[
                    '00000000-0000-7000-8000-0000000000ea',
                    '00000000-0000-7000-8000-0000000000ff'
                ]::uuid[],
                '{true, true}', '{10, 10}'
            )
        $$
    ),
    '{}',
    'one that is known records sessions, but for those that are no more'
);
SELECT is(pg_temp.seen(), 'a online', 'a device is online');
SELECT is(
    (SELECT now() - last_seen FROM roost.user_presence WHERE last_seen IS NOT NULL),
    interval '10 seconds',
    'and was seen when something came from it'
);
SELECT is(
    pg_temp.told(),
    '~conversation:01 presence online, ~user:0a presence online',
    'that is told to the person''s inbox and where somebody shares it'
);
SELECT is(pg_temp.record('1', 'a', 5), '{}', 'a device that is there');
SELECT is(
    (SELECT now() - last_seen FROM roost.user_presence WHERE last_seen IS NOT NULL),
    interval '5 seconds',
    'was seen later'
);
SELECT is(pg_temp.record('1', 'a', 7), '{}', 'word that comes late');
SELECT is(
    (SELECT now() - last_seen FROM roost.user_presence WHERE last_seen IS NOT NULL),
    interval '5 seconds',
    'does not turn that back'
);
SELECT is(pg_temp.told(), NULL, 'and nobody is told');
SELECT is(pg_temp.record('1', 'bcd', 0), '{}', 'others come');
SELECT is(pg_temp.seen(), 'a online, b online, c online', 'and are there');
SELECT is(
    pg_temp.told(),
    '~conversation:01 presence online, ~user:0b presence online, ~user:0c presence online',
    'a second device of somebody is not news, nor is it where nobody else is'
);
SELECT is(pg_temp.record('2', 'a', 0), '{}', 'the first is on another server too');
SELECT is(pg_temp.record('1', 'ABCD', 0), '{}', 'all leave the first');
SELECT is(pg_temp.seen(), 'a online', 'it is still there');
SELECT is(
    pg_temp.told(),
    '~conversation:01 presence offline, ~user:0b presence offline, ~user:0c presence offline',
    'and who is not has gone'
);
SELECT is(pg_temp.record('2', 'A', 0), '{}', 'then it leaves that one');
SELECT is(pg_temp.seen(), NULL, 'and is not there');
SELECT is(
    pg_temp.told(),
    '~conversation:01 presence offline, ~user:0a presence offline',
    'which is told'
);
SELECT is(pg_temp.record('2', 'A', 0), '{}', 'it leaves once more');
SELECT is(pg_temp.told(), NULL, 'which is no news');

-- set_presence
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, 'SELECT api.set_presence()'),
    caller.sqlstate,
    NULL,
    format('set_presence: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000a', 'RO302', 'a session without a device')
) AS caller (role, id, sqlstate, name);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000dc', true);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000a', 'SELECT api.set_presence()'),
    'RO302',
    NULL,
    'nor for the device of somebody else'
);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.set_presence(activity => %L)', wrong.activity)
    ),
    '23514',
    NULL,
    format('an activity has 1 to 200 characters, not %s', length(wrong.activity))
)
FROM (VALUES (''), (repeat('x', 201))) AS wrong (activity);
SELECT results_eq(
    'SELECT DISTINCT status, activity FROM roost.device_presence',
    $$ VALUES ('online'::roost.presence_status, NULL::text) $$,
    'and nothing has been said'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$
            SELECT concat_ws(' ', status, activity, cardinality(devices))
            FROM api.set_presence('busy', 'Reading')
        $$
    ),
    'offline 2',
    'a device that is not there may say how it wants to be seen'
);
SELECT is(pg_temp.told(), NULL, 'which is told to nobody');
SELECT is(pg_temp.record('1', 'abc', 0), '{}', 'it comes, and another one');
SELECT is(pg_temp.seen(), 'a busy Reading, b online', 'busy comes before online');
SELECT is(
    pg_temp.told(),
    '~conversation:01 presence busy Reading, ~conversation:01 presence online,'
    ' ~user:0a presence busy Reading, ~user:0b presence online',
    'which is told'
);
CREATE FUNCTION pg_temp.set(p_device text, p_arguments text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000d' || p_device, true);
    SELECT as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT concat_ws('' '', status, activity) FROM api.set_presence(%s)', p_arguments)
    );
$$;
SELECT is(
    pg_temp.set(step.device, step.arguments),
    step.answer,
    format('step %s: %s says %s', step.place, step.device, step.arguments)
)
FROM (
    VALUES
    (1, 'a', '''idle'', ''Reading''', 'online Reading'),
    (2, 'b', '''idle''', 'idle Reading'),
    (3, 'b', '''idle'', ''Writing''', 'idle Writing'),
    (4, 'b', 'NULL, ''Writing''', 'online Writing'),
    (5, 'b', '''offline'', ''Hiding''', 'idle Reading'),
    (6, 'a', '''offline''', 'offline')
) AS step (place, device, arguments, answer)
ORDER BY step.place;
SELECT is(
    (SELECT count(*) FROM roost.current_presence WHERE connected), 3::bigint,
    'whoever hides is connected'
);
SELECT set_config('roost.touched', '', true);
SELECT lives_ok(
    $$ UPDATE roost.device_presence SET updated_at = now() - interval '1 hour' $$, 'an hour later'
);
SELECT is(
    (
        SELECT max(now() - last_seen) FROM roost.user_presence
        WHERE user_id = '00000000-0000-7000-8000-00000000000a'
    ),
    interval '1 hour',
    'they were seen when they began to hide'
);
-- Without the server each is a notification by itself.
SELECT set_config('roost.gateway', 'off', true);
SELECT is(pg_temp.set('a', '''online'', ''Reading'''), 'online Reading', 'as psql would');
SELECT is(pg_temp.told(), NULL, 'nothing is left to the server');
SELECT set_config('roost.gateway', 'on', true);
SELECT is(pg_temp.set('a', '''online'', ''Reading'''), 'online Reading', 'the same again');
SELECT is(pg_temp.told(), NULL, 'is told to nobody');

-- get_presence and list_presence
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, 'SELECT ' || asked.call),
    caller.sqlstate,
    NULL,
    format('%s: not for %s', asked.call, caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody')
) AS caller (role, id, sqlstate, name)
CROSS JOIN (
    VALUES
    ('api.get_presence(''{}'')'),
    ('api.list_presence(''00000000-0000-7000-9000-000000000001'')')
) AS asked (call);
SELECT throws_ok(
    calling('roost_user', refused.id::uuid, 'SELECT ' || refused.call),
    refused.sqlstate,
    NULL,
    format('refused: %s, %s', left(refused.call, 50), refused.sqlstate)
)
FROM (
    VALUES
    (
        '00000000-0000-7000-8000-00000000000c',
        'api.list_presence(''00000000-0000-7000-9000-000000000001'')', 'RO201'
    ),
    (
        '00000000-0000-7000-8000-00000000000c',
        'api.list_presence(''00000000-0000-7000-9000-000000000003'')', 'RO201'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'api.list_presence(''00000000-0000-7000-9000-000000000001'', 0)', 'RO302'
    ),
    ('00000000-0000-7000-8000-00000000000a', 'api.get_presence(NULL)', 'RO302'),
    (
        '00000000-0000-7000-8000-00000000000a',
        'api.get_presence(array_fill(gen_random_uuid(), ARRAY[201]))', 'RO302'
    )
) AS refused (id, call, sqlstate);
SELECT is(
    as_caller(
        'roost_user', person.id::uuid,
        $$
            SELECT string_agg(
                concat_ws(
                    ' ', right(user_id::text, 1), status, activity, cardinality(devices)
                ),
                ', '
            )
            FROM api.get_presence((
                SELECT array_agg(
                    ('00000000-0000-7000-8000-00000000000' || letter)::uuid
                ) FROM unnest(ARRAY['c', 'b', 'a', 'f', 'a']) AS letter
            ))
        $$
    ),
    person.answer,
    person.name || ' sees those whom they share a conversation with, and devices of their own'
)
FROM (
    VALUES
    ('ada', '00000000-0000-7000-8000-00000000000a', 'a online Reading 2, b online'),
    ('grace', '00000000-0000-7000-8000-00000000000b', 'a online Reading, b online 1'),
    ('an outsider', '00000000-0000-7000-8000-00000000000c', 'c offline 1')
) AS person (name, id, answer);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$
            SELECT string_agg(
                concat_ws(
                    ' ', right(device.device_id::text, 2), device.status, device.activity,
                    device.connected
                ),
                ', '
                ORDER BY device.device_id
            )
            FROM api.get_presence(ARRAY['00000000-0000-7000-8000-00000000000a'::uuid]) AS own
            CROSS JOIN LATERAL unnest(own.devices) AS device
        $$
    ),
    'da online Reading t, db offline Hiding t',
    'those as they are'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format(
            $$
                SELECT string_agg(concat_ws(' ', right(user_id::text, 1), status), ', ')
                FROM api.list_presence('00000000-0000-7000-9000-000000000001', %s)
            $$,
            page.arguments
        )
    ),
    page.answer,
    format('list_presence, %s', page.arguments)
)
FROM (
    VALUES
    ('50', 'a online, b online'),
    ('1', 'a online'),
    ('1, ''00000000-0000-7000-8000-00000000000a''', 'b online'),
    ('1, ''00000000-0000-7000-8000-00000000000b''', NULL)
) AS page (arguments, answer);
UPDATE roost.conversation_participants SET suspended = true
WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
    AND user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT count(*)
            FROM api.get_presence(ARRAY['00000000-0000-7000-8000-00000000000a'::uuid])
        $$
    ),
    '0',
    'a conversation that is deleted is shared by nobody'
);
UPDATE roost.conversation_participants SET suspended = false;

-- A session that moves takes its socket to the other device.
UPDATE roost.sessions SET device_id = '00000000-0000-7000-8000-0000000000da'
WHERE id = '00000000-0000-7000-8000-0000000000eb';
SELECT results_eq(
    $$
        SELECT right(device_id::text, 2) FROM roost.current_presence
        WHERE connected ORDER BY device_id
    $$,
    $$ VALUES ('da'), ('dc') $$,
    'presence goes with the session'
);
DELETE FROM roost.device_presence WHERE device_id = '00000000-0000-7000-8000-0000000000dc';
SELECT is(
    pg_temp.seen(), 'a online Reading, b online',
    'a device of which nothing is written yet is online'
);

-- Channels
SELECT is(
    as_caller(
        'roost_gateway', NULL,
        format(
            $$
                SELECT array_to_string(ARRAY(SELECT unnest(changed) ORDER BY 1), ' ')
                FROM realtime.record_presences(%L, %s) AS changed
            $$,
            '00000000-0000-7000-8000-0000000000c' || batch.server, batch.arguments
        )
    ),
    batch.answer,
    format('record_presences of %s: %s', batch.server, batch.arguments)
)
FROM (
    VALUES
    (
        1, '1',
        '''{r1,r2,r3}'', ''{t:1,t:1,t:2}'', ''{k,k,k}'','
        ' ARRAY[''{"n": 1}'', ''{}'', ''{}''], ''{}''',
        't:1 t:2'
    ),
    (2, '1', '''{r1}'', ''{t:1}'', ''{k}'', ARRAY[''{}''], ''{}''', ''),
    (3, '1', '''{r4}'', ''{t:1}'', ''{k}'', ARRAY[''{}''], ''{r3,r9}''', 't:1 t:2'),
    (4, '2', '''{r1}'', ''{t:1}'', ''{l}'', ARRAY[''{}''], ''{}''', 't:1'),
    (5, '1', '''{r7}'', ''{t:3}'', ''{k}'', ARRAY[''{}''], ''{}''', 't:3'),
    -- All but those that stay, of this server alone.
    (6, '1', '''{}'', ''{}'', ''{}'', ''{}'', ''{}'', ''{r1,r2,r4}''', 't:3')
) AS batch (place, server, arguments, answer)
ORDER BY batch.place;
SELECT is(
    realtime.record_presences(
        '00000000-0000-7000-8000-0000000000c9', '{r}', '{t:1}', '{k}', ARRAY['{}'], '{}'
    ),
    NULL,
    'an unknown server is told so'
);
SELECT is(
    as_caller(
        'roost_gateway', NULL,
        format(
            $$
                SELECT string_agg(
                    concat_ws(' ', topic, reference, key, meta), ', ' ORDER BY reference
                )
                FROM realtime.read_presences(%L, '{t:1,t:2}')
            $$,
            '00000000-0000-7000-8000-0000000000c' || reader.server
        )
    ),
    reader.answer,
    format('server %s reads what the others have written', reader.server)
)
FROM (
    VALUES
    ('1', 't:1 r1 l {}'),
    ('2', 't:1 r1 k {"n": 1}, t:1 r2 k {}, t:1 r4 k {}')
) AS reader (server, answer);
SELECT throws_ok(
    format(
        $$
            SELECT realtime.record_presences(
                '00000000-0000-7000-8000-0000000000c1', '{r5}', '{t:1}', '{k}', ARRAY[%L], '{}'
            )
        $$,
        to_json(repeat('x', 32768))
    ),
    '23514',
    NULL,
    'a meta has a limit'
);

-- Servers that are gone
SELECT set_config('roost.touched', '', true);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.forget_servers(NULL, 10)'), '0',
    'nothing to do while they live'
);
SELECT is(pg_temp.told(), NULL, 'and nothing to tell');
UPDATE roost.servers SET beat_at = now() - interval '30 seconds'
WHERE id = '00000000-0000-7000-8000-0000000000c1';
SELECT is(pg_temp.seen(), NULL, 'with their server all are gone, for whoever looks');
SELECT is(
    realtime.read_presences('00000000-0000-7000-8000-0000000000c2', '{t:1}')::text,
    NULL,
    'and from the channels'
);
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.forget_servers(NULL, %s)', step.number)),
    step.answer,
    format('step %s: forget_servers(NULL, %s) answers %s', step.place, step.number, step.answer)
)
FROM (
    VALUES (1, '2', '1'), (2, '2', '0'), (3, '2', '0')
) AS step (place, number, answer)
ORDER BY step.place;
SELECT is(
    pg_temp.told(),
    '!presence, ~conversation:01 presence offline, ~conversation:01 presence offline,'
    ' ~user:0a presence offline, ~user:0b presence offline',
    'then it is told, once'
);
SELECT results_eq(
    'SELECT right(id::text, 2) FROM roost.servers', $$ VALUES ('c2') $$, 'the server is forgotten'
);
SELECT is(
    (SELECT count(*) FROM realtime.presences), 1::bigint, 'with what was tracked through it'
);
SELECT is(pg_temp.record('2', 'c', 0), '{}', 'somebody is on the other one');
SELECT set_config('roost.touched', '', true);
SELECT is(
    as_caller(
        'roost_gateway', NULL,
        $$ SELECT roost.forget_servers('00000000-0000-7000-8000-0000000000c2', 10) $$
    ),
    '0',
    'which stops'
);
SELECT is(
    pg_temp.told(),
    '!presence, ~conversation:01 presence offline, ~user:0b presence offline',
    'and is gone at once'
);
SELECT is_empty('SELECT id FROM roost.servers', 'like all others');
SELECT isnt_empty('SELECT device_id FROM roost.device_presence', 'what devices said stays');

SELECT * FROM finish();

ROLLBACK;

-- Acknowledgements: where a device has got, what others see of it, and coming back to it.
BEGIN;

SELECT plan(56);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_session(
    ('00000000-0000-7000-8000-00000000000' || person.name)::uuid,
    ('00000000-0000-7000-8000-0000000000d' || person.name)::uuid,
    ('00000000-0000-7000-8000-0000000000e' || person.name)::uuid
)
FROM (VALUES ('a'), ('b'), ('c')) AS person (name);
INSERT INTO roost.conversations (id, user_id)
VALUES ('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'viewer'
);
UPDATE realtime.log SET epoch = 'first';

-- A person on their device.
CREATE FUNCTION pg_temp.on_device(p_person text, p_query text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT set_config(
        'roost.device_id', '00000000-0000-7000-8000-0000000000d' || p_person, true
    );
    SELECT as_caller(
        'roost_user', ('00000000-0000-7000-8000-00000000000' || p_person)::uuid, p_query
    );
$$;
CREATE FUNCTION pg_temp.acknowledging(p_positions text)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT format(
        'SELECT string_agg(concat_ws('' '', left(topic, 4), acknowledged, epoch), '', '')'
        ' FROM api.acknowledge_events(%L)',
        replace(
            replace(p_positions, 'talk', 'conversation:00000000-0000-7000-9000-000000000001'),
            'ada', 'user:00000000-0000-7000-8000-00000000000a'
        )
    );
$$;

SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', ''{"text": "x"}'')'
    ),
    format('message %s', step.number)
)
FROM generate_series(1, 3) AS step (number);
SELECT realtime.publish('user:00000000-0000-7000-8000-00000000000a', 'note.made', '{}');

-- Who may
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, called.query), caller.sqlstate, NULL,
    format('%s: not for %s', called.query, caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody')
) AS caller (role, id, sqlstate, name)
CROSS JOIN (
    VALUES ('SELECT api.acknowledge_events(''{}'')'), ('SELECT api.list_device_cursors()')
) AS called (query);
SELECT set_config('roost.device_id', '', true);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b', pg_temp.acknowledging('{"talk": 1}')
    ),
    'RO302', 'The session has no device that could have received anything.',
    'not without a device'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        'SELECT count(*) FROM api.list_device_cursors()'
    ),
    '0', 'nor is there anything to list'
);

-- What is refused
SELECT throws_ok(
    format('SELECT pg_temp.on_device(%L, %L)', 'b', pg_temp.acknowledging(bad.positions)),
    bad.sqlstate, NULL, format('refused: %s', left(bad.positions, 20))
)
FROM (
    VALUES
    ('null', 'RO302'),
    (NULL, 'RO302'),
    ('[1]', 'RO302'),
    ('{"talk": "1"}', 'RO302'),
    ('{"talk": -1}', 'RO302'),
    ('{"talk": 1.5}', 'RO302'),
    ('{"talk": 4}', 'RO402'),
    (
        (SELECT jsonb_object_agg(step, 1)::text FROM generate_series(1, 1001) AS step),
        'RO302'
    )
) AS bad (positions, sqlstate);
SELECT throws_ok(
    $$ SELECT pg_temp.on_device('b', 'SELECT api.acknowledge_events(''{}'', ''x'')') $$,
    'RO302', 'This is no place to resume from.', 'nor without a proper token'
);
SELECT is_empty('SELECT topic FROM roost.device_cursors', 'none of it is kept');

-- What it does
SELECT is(
    pg_temp.on_device(sent.person, pg_temp.acknowledging(sent.positions)),
    sent.answer,
    sent.name
)
FROM (
    VALUES
    (1, 'b', '{"talk": 2, "ada": 1}', 'conv 2 first', 'what is not theirs is passed over'),
    (2, 'b', '{"talk": 1}', 'conv 2 first', 'not backwards'),
    (3, 'c', '{"talk": 1}', NULL, 'nothing of an outsider'),
    (4, 'a', '{"talk": 3, "ada": 1}', 'conv 3 first, user 1 first', 'several topics'),
    (5, 'b', '{}', NULL, 'nothing to say')
) AS sent (place, person, positions, answer, name);
SELECT results_eq(
    $$
        SELECT right(user_id::text, 1), last_read_seq, last_delivered_seq
        FROM roost.conversation_participants
        ORDER BY 1
    $$,
    $$ VALUES ('a', 3::bigint, 3::bigint), ('b', 0, 2) $$,
    'messages are delivered, not read'
);
SELECT results_eq(
    $$
        SELECT event, payload ->> 'user_id', payload ->> 'last_delivered_seq'
        FROM realtime.events
        WHERE event_offset > 3
    $$,
    $$ VALUES ('receipt', '00000000-0000-7000-8000-00000000000b', '2') $$,
    'and the conversation is told, once'
);

-- Coming back
SELECT is(
    pg_temp.on_device(
        'b',
        $$
            SELECT string_agg(concat_ws(' ', left(topic, 4), replay_after), ', ')
            FROM realtime.join_topic(
                'conversation:00000000-0000-7000-9000-000000000001', p_acknowledged => true
            )
        $$
    ),
    'conv 2',
    'a topic goes on behind what was acknowledged'
);
SELECT is(
    pg_temp.on_device(
        'a',
        $$
            SELECT string_agg(concat_ws(' ', left(topic, 4), replay_after), ', ')
            FROM realtime.join_topic(
                'user:00000000-0000-7000-8000-00000000000a', p_acknowledged => true
            )
        $$
    ),
    'user 1, conv 3',
    'so does an inbox, with all that is heard in it'
);
SELECT is(
    pg_temp.on_device(
        'b',
        $$
            SELECT string_agg(
                concat_ws(' ', left(topic, 4), coalesce(replay_after::text, '-')), ', '
            )
            FROM realtime.join_topic(
                'user:00000000-0000-7000-8000-00000000000b', p_acknowledged => true
            )
        $$
    ),
    'user -, conv 2',
    'what was never acknowledged goes on from now'
);

-- From which join on a device is to have what it has never acknowledged
CREATE FUNCTION pg_temp.heard_since()
RETURNS SETOF text
LANGUAGE sql
STABLE
AS $$
    SELECT concat_ws(
        ' ', left(cursor.topic, 4), coalesce(cursor.acknowledged::text, '-'), cursor.heard_since
    )
    FROM roost.device_cursors AS cursor
    WHERE cursor.device_id = '00000000-0000-7000-8000-0000000000db'
    ORDER BY 1;
$$;
CREATE FUNCTION pg_temp.saying(p_positions text, p_resume text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.on_device(
        'b',
        format(
            'SELECT string_agg(concat_ws('' '', left(topic, 4), acknowledged), '', '')'
            ' FROM api.acknowledge_events(%L, %L)',
            replace(p_positions, 'grace', 'user:00000000-0000-7000-8000-00000000000b'), p_resume
        )
    );
$$;
SELECT is(pg_temp.saying('{}', '52.51'), NULL, 'said without an offset');
SELECT results_eq(
    'SELECT pg_temp.heard_since()', $$ VALUES ('conv 2'), ('user - 51:52:51') $$,
    'it is kept with the inbox'
);
SELECT is(
    pg_temp.on_device('b', 'SELECT count(*) FROM api.list_device_cursors()'), '1',
    'which is not listed for that'
);
SELECT realtime.publish('user:00000000-0000-7000-8000-00000000000b', 'note.made', '{}')
FROM generate_series(1, 2);
UPDATE realtime.events AS event
SET xid = CASE WHEN event.event_offset = 1 THEN '40' ELSE '51' END::xid8;
DELETE FROM roost.device_cursors
WHERE topic LIKE 'conversation:%' AND device_id = '00000000-0000-7000-8000-0000000000db';
SELECT is(
    pg_temp.on_device(
        'b',
        $$
            SELECT string_agg(concat_ws(' ', left(topic, 4), replay_after), ', ')
            FROM realtime.join_topic(
                'user:00000000-0000-7000-8000-00000000000b', p_acknowledged => true
            )
        $$
    ),
    'user 1, conv 1',
    'all that was not acknowledged goes on from there'
);
SELECT is(pg_temp.saying('{"grace": 2}', NULL), 'user 2', 'an offset without a token');
SELECT is(pg_temp.saying('{"grace": 1}', '58'), 'user 2', 'a later token');
SELECT results_eq(
    'SELECT pg_temp.heard_since()', $$ VALUES ('user 2 51:52:51') $$, 'the first one stays'
);
SELECT results_eq(
    $$
        SELECT cursor.topic, cursor.heard_since IS NOT NULL
        FROM roost.device_cursors AS cursor
        WHERE cursor.device_id = '00000000-0000-7000-8000-0000000000da'
        ORDER BY cursor.topic
    $$,
    $$ VALUES
        ('conversation:00000000-0000-7000-9000-000000000001', false),
        ('user:00000000-0000-7000-8000-00000000000a', true) $$,
    'without one it is the first acknowledgement of the inbox'
);
SELECT is(pg_temp.saying('{}', '99999999999999999'), NULL, 'one of another server');
SELECT results_eq(
    'SELECT pg_temp.heard_since()', $$ VALUES ('user 2 51:52:51') $$, 'is passed over'
);
-- As if the database had been restored into another server, and not been given a new epoch.
UPDATE roost.device_cursors
SET heard_since = '99999999999999999:99999999999999999:'
WHERE device_id = '00000000-0000-7000-8000-0000000000db';
SELECT is(pg_temp.saying('{}', '53'), NULL, 'one of this server');
SELECT results_eq(
    'SELECT pg_temp.heard_since()', $$ VALUES ('user 2 53:53:') $$, 'takes its place'
);
SELECT is(
    pg_temp.saying('{"conversation:00000000-0000-7000-9000-000000000001": 2}', '53'), 'conv 2',
    'back to where it was'
);
DELETE FROM roost.device_cursors
WHERE topic LIKE 'user:%' AND device_id = '00000000-0000-7000-8000-0000000000db';
SELECT is(
    pg_temp.on_device(
        'a',
        $$
            SELECT string_agg(concat_ws(' ', left(topic, 4), acknowledged), ', ')
            FROM api.list_device_cursors(page_size => 1, after_topic => 'conversation:1')
        $$
    ),
    'user 1',
    'a page of the cursors'
);

-- Another log
UPDATE realtime.log SET epoch = 'second';
SELECT throws_ok(
    $q$ SELECT pg_temp.on_device(
        'b',
        $$ SELECT realtime.join_topic(
            'conversation:00000000-0000-7000-9000-000000000001', p_acknowledged => true
        ) $$
    ) $q$,
    'RO403', NULL, 'offsets of another log are worth nothing'
);
SELECT is(
    pg_temp.on_device('b', pg_temp.acknowledging('{"talk": 1}')),
    'conv 1 second',
    'the first one of the new log counts'
);

-- Nobody else's
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        'SELECT count(*) FROM roost.device_cursors'
    ),
    '1',
    'a device sees its own cursors only'
);
-- The second wall; the device is grace's.
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.device_cursors SET acknowledged = 9'
    ),
    1::bigint,
    'a device changes its own cursors only'
);
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000b', refused.command),
    '42501', NULL, 'refused: ' || left(refused.command, 40)
)
FROM (
    VALUES
    (
        'INSERT INTO roost.device_cursors (device_id, topic, epoch, acknowledged)'
        ' VALUES (''00000000-0000-7000-8000-0000000000da'', ''x:1'', ''second'', 1)'
    ),
    ('UPDATE roost.device_cursors SET device_id = ''00000000-0000-7000-8000-0000000000da'''),
    ('UPDATE roost.device_cursors SET topic = ''x:1'''),
    ('DELETE FROM roost.device_cursors')
) AS refused (command);
SELECT results_eq(
    'SELECT left(topic, 4), acknowledged FROM roost.device_cursors ORDER BY device_id, topic',
    $$ VALUES ('conv', 3::bigint), ('user', 1), ('conv', 9) $$,
    'the others are as they were'
);
SELECT realtime.forget_topic('conversation:00000000-0000-7000-9000-000000000001', 100);
SELECT results_eq(
    'SELECT left(topic, 4) FROM roost.device_cursors', $$ VALUES ('user') $$,
    'with a topic its cursors go'
);
DELETE FROM roost.sessions;
DELETE FROM roost.devices;
SELECT is_empty('SELECT topic FROM roost.device_cursors', 'and with a device');

SELECT * FROM finish();

ROLLBACK;

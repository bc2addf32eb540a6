-- Realtime: publishing, joining, reading the log, its partitions, waking the relays; each kind of
-- caller, each refusal. That a notification goes out at commit is for tests/test_realtime.py.
BEGIN;

SELECT plan(302);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000ea'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-0000000000db',
    '00000000-0000-7000-8000-0000000000eb'
);
INSERT INTO roost.devices (id, user_id, status)
VALUES
(
    '00000000-0000-7000-8000-0000000000d0', '00000000-0000-7000-8000-00000000000a', 'revoked'
);
INSERT INTO roost.conversations (id, user_id, last_seq)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 0),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000b', 7);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, left_at)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner', NULL
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'viewer', NULL
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000b', 'owner', NULL
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'member', now()
);
UPDATE realtime.log SET epoch = 'first';

-- Who may call
SELECT throws_ok(
    calling(caller.role, '00000000-0000-7000-8000-00000000000a', called.query),
    '42501',
    NULL,
    format('%s may not: %s', caller.role, called.query)
)
FROM (
    VALUES
        ('SELECT realtime.publish(''user:1'', ''x'', ''{}'')', 'roost_api'),
        ('SELECT realtime.append(''user:1'', 1, ''x'', ''{}'')', 'roost_api'),
        ('SELECT realtime.wake(''user:1'')', 'roost_api'),
        ('SELECT realtime.broadcast(''user:1'', ''x'', ''{}'')', 'roost_api'),
        ('SELECT realtime.redact(''user:1'', ''{1}'', ''{}'')', NULL),
        ('SELECT realtime.forget_topic(''user:1'', 1)', NULL),
        ('SELECT realtime.can_join(''user:1'')', 'roost_api'),
        ('SELECT realtime.last_offset(''user:1'')', 'roost_api'),
        ('SELECT realtime.join_topic(''user:1'')', 'roost_user'),
        ('SELECT realtime.list_inner_topics(''user:1'', NULL, NULL, NULL)', NULL),
        ('SELECT realtime.has_event(''user:1'', 1)', NULL),
        ('SELECT realtime.snapshot_token()', 'roost_api'),
        ('SELECT realtime.read_snapshot_token(''9'')', 'roost_api'),
        ('SELECT realtime.offset_in_snapshot(''user:1'', ''9:9:'')', NULL),
        ('SELECT realtime.is_in_snapshot(''9'', ''9:9:'')', NULL),
        ('SELECT realtime.read_events(''{}'', ''{}'', 1)', 'roost_gateway'),
        ('SELECT realtime.get_epoch()', 'roost_api roost_gateway'),
        ('SELECT realtime.new_epoch()', NULL),
        ('SELECT realtime.maintain_partitions()', 'roost_gateway'),
        ('SELECT realtime.make_partitions()', NULL),
        ('SELECT realtime.drop_old_partitions()', NULL),
        ('SELECT roost.find_ended_sessions(''{}'')', 'roost_gateway')
) AS called (query, allowed)
JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway'), ('roost_api')
) AS caller (role)
    ON (caller.role = ANY (string_to_array(called.allowed, ' '))) IS NOT TRUE;
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000a', format('SELECT FROM %s', name)),
    '42501',
    NULL,
    'roost_api may not read ' || name
)
FROM (VALUES ('realtime.log'), ('realtime.topics'), ('realtime.events')) AS relation (name);
SELECT is_empty('SELECT FROM realtime.events', 'and nothing was published');

-- publish: offsets count up within a topic, and topics do not share them
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    as_caller(
        'roost_api',
        '00000000-0000-7000-8000-00000000000a',
        format('SELECT realtime.publish(%L, %L, %L)', sent.topic, sent.event, sent.payload)
    ),
    sent.offset_,
    format('%s on %s is event %s', sent.event, sent.topic, sent.offset_)
)
FROM (
    VALUES
        ('user:00000000-0000-7000-8000-00000000000a', 'a.one', '{"b": 1,  "a": [null]}', '1'),
        ('user:00000000-0000-7000-8000-00000000000a', 'a.two', '"text"', '2'),
        ('device:00000000-0000-7000-8000-0000000000da', 'd.one', '{}', '1'),
        ('user:00000000-0000-7000-8000-00000000000a', 'a.three', 'null', '3'),
        ('conversation:00000000-0000-7000-9000-000000000001', 'c.one', '{}', '1'),
        ('conversation:00000000-0000-7000-9000-000000000002', 'c.eight', '{}', '8')
) AS sent (topic, event, payload, offset_);
SELECT results_eq(
    $$
        SELECT event_offset, event, payload::text, actor_id, device_id
        FROM realtime.events
        WHERE topic = 'user:00000000-0000-7000-8000-00000000000a'
        ORDER BY event_offset
    $$,
    $$ VALUES
        (
            1::bigint, 'a.one', '{"b": 1,  "a": [null]}',
            '00000000-0000-7000-8000-00000000000a'::uuid,
            '00000000-0000-7000-8000-0000000000da'::uuid
        ),
        (
            2::bigint, 'a.two', '"text"', '00000000-0000-7000-8000-00000000000a'::uuid,
            '00000000-0000-7000-8000-0000000000da'::uuid
        ),
        (
            3::bigint, 'a.three', 'null', '00000000-0000-7000-8000-00000000000a'::uuid,
            '00000000-0000-7000-8000-0000000000da'::uuid
        )
    $$,
    'events are kept as they were written, with who did it on which device'
);
SELECT is(
    (SELECT last_seq FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000002'),
    8::bigint,
    'a conversation gives out the offsets of its topic itself'
);
SELECT is_empty(
    $$ SELECT FROM realtime.topics WHERE topic LIKE 'conversation:%' $$,
    'and has no row among the topics'
);
SELECT is(
    realtime.last_offset(topic.name),
    topic.newest,
    format('the newest offset of %s is %s', topic.name, topic.newest)
)
FROM (
    VALUES
        ('user:00000000-0000-7000-8000-00000000000a', 3::bigint),
        ('user:00000000-0000-7000-8000-00000000000b', 0),
        ('conversation:00000000-0000-7000-9000-000000000002', 8),
        ('conversation:00000000-0000-7000-9000-000000000003', 0)
) AS topic (name, newest);

-- publish: what is refused takes no offset
SELECT throws_ok(
    calling(
        'roost_api',
        NULL,
        format('SELECT realtime.publish(%L, %L, %L)', sent.topic, sent.event, sent.payload)
    ),
    sent.sqlstate,
    NULL,
    'refused: ' || sent.why
)
FROM (
    VALUES
        ('conversation:00000000-0000-7000-9000-000000000003', 'x', '{}', 'P0002', 'unknown'),
        ('conversation:one', 'x', '{}', '22P02', 'no identifier'),
        ('User:1', 'x', '{}', '23514', 'a topic in capitals'),
        ('user', 'x', '{}', '23514', 'a topic without a name'),
        (E'user:\n!session:1', 'x', '{}', '23514', 'a topic of two lines'),
        ('user:' || repeat('x', 201), 'x', '{}', '23514', 'a long topic'),
        ('user:00000000-0000-7000-8000-00000000000a', 'X', '{}', '23514', 'an event in capitals'),
        ('user:00000000-0000-7000-8000-00000000000a', 'x"', '{}', '23514', 'a quote in an event'),
        ('user:00000000-0000-7000-8000-00000000000a', 'x', '{', '22P02', 'no JSON'),
        ('user:00000000-0000-7000-8000-00000000000a', 'x', NULL, '23502', 'no payload')
) AS sent (topic, event, payload, sqlstate, why);
SELECT is(
    realtime.last_offset('user:00000000-0000-7000-8000-00000000000a'),
    3::bigint,
    'and the topic is where it was'
);
SELECT is((SELECT count(*) FROM realtime.events), 6::bigint, 'and so is the log');

-- append
SELECT lives_ok(
    calling(
        'roost_api',
        NULL,
        $$
            SELECT realtime.append(
                'device:00000000-0000-7000-8000-0000000000da', 2, 'd.two', '{}'
            )
        $$
    ),
    'append writes under the offset that it is given'
);
SELECT throws_ok(
    calling(
        'roost_api',
        NULL,
        $$
            SELECT realtime.append(
                'device:00000000-0000-7000-8000-0000000000da', 2, 'd.too', '{}'
            )
        $$
    ),
    '23505',
    NULL,
    'and not a second time'
);
SELECT results_eq(
    $$
        SELECT event_offset, event FROM realtime.events
        WHERE topic LIKE 'device:%'
        ORDER BY event_offset
    $$,
    $$ VALUES (1::bigint, 'd.one'), (2::bigint, 'd.two') $$,
    'so there are two events'
);

-- wake: the server reads the lines back; for everybody else there is the notification
SELECT is(
    nullif(current_setting('roost.touched', true), ''),
    NULL,
    'a writer without the server leaves no list'
);
SELECT set_config('roost.gateway', 'on', true);
SELECT as_caller('roost_api', NULL, $$ SELECT realtime.wake('!session:1') $$);
SELECT as_caller(
    'roost_api',
    '00000000-0000-7000-8000-00000000000a',
    $$ SELECT realtime.publish('user:00000000-0000-7000-8000-00000000000a', 'a.four', '{}') $$
);
SELECT is(
    current_setting('roost.touched', true),
    E'!session:1\nuser:00000000-0000-7000-8000-00000000000a',
    'for the server there is a line each for what was touched, in order'
);

-- broadcast: a line, which is nothing but what it says, and nothing in the log
CREATE FUNCTION pg_temp.broadcast(p_topic text, p_event text, p_payload text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('roost.touched', '', true);
    PERFORM as_caller(
        'roost_api',
        NULL,
        format('SELECT realtime.broadcast(%L, %L, %L)', p_topic, p_event, p_payload)
    );
    RETURN current_setting('roost.touched');
END;
$$;
SELECT is(
    pg_temp.broadcast(sent.topic, sent.event, sent.payload),
    concat_ws(E'\t', '~' || sent.topic, sent.event, sent.line),
    sent.what
)
FROM (
    VALUES
        ('user:1', 'typing', '{"a": [1]}', '{"a": [1]}', 'an ephemeral event'),
        ('user:1', 'typing', E'{\n\t"a":\r\n1}', '{"a": 1}', 'one written over several lines'),
        ('user:1', 'typing', '"a\n\tb"', '"a\n\tb"', 'one with lines in its text'),
        ('user:1', 'typing', 'null', 'null', 'one that says nothing'),
        ('user:1', 'Cursor:moved/by-2', '{}', '{}', 'one that a client has named'),
        (
            'user:1', 'typing', to_json(repeat('x', 4094))::text, to_json(repeat('x', 4094))::text,
            'one of 4,096 bytes'
        ),
        (
            'user:' || repeat('ü', 200), 'x' || repeat('.', 99), '{}', '{}',
            'one of the longest topic and name'
        )
) AS sent (topic, event, payload, line, what);
SELECT set_config('roost.touched', '', true);
SELECT throws_ok(
    calling(
        'roost_api',
        NULL,
        format('SELECT realtime.broadcast(%L, %L, %L)', sent.topic, sent.event, sent.payload)
    ),
    sent.sqlstate,
    NULL,
    'no ephemeral event: ' || sent.why
)
FROM (
    VALUES
        ('user:1', 'x', to_json(repeat('x', 262143))::text, 'RO302', 'more than 256 KiB'),
        ('user:1', 'x', to_json(repeat('ü', 131072))::text, 'RO302', 'more bytes than characters'),
        ('user:1', 'x', '[1e131071, 1e131071, 1e131071]', 'RO302', 'long numbers, shortly written'),
        ('user:1', 'x', NULL, 'RO302', 'no payload'),
        ('user:1', 'x', '{', '22P02', 'no JSON'),
        ('user:1', 'x', '"\ud800"', '22P02', 'half a character'),
        (NULL, 'x', '{}', 'RO302', 'no topic'),
        ('user:1', NULL, '{}', 'RO302', 'no event'),
        (E'user:1\n!session:1', 'x', '{}', 'RO302', 'a topic of two lines'),
        (E'user:1\tx', 'x', '{}', 'RO302', 'a topic with a tab'),
        (repeat('x', 250) || ':12345', 'x', '{}', 'RO302', 'a long topic'),
        ('user:1', E'x\t', '{}', 'RO302', 'an event with a tab'),
        ('user:1', 'x y', '{}', 'RO302', 'an event with a space'),
        ('user:1', repeat('x', 101), '{}', 'RO302', 'a long event')
) AS sent (topic, event, payload, sqlstate, why);
SELECT is(current_setting('roost.touched', true), '', 'and there is no line of them');

-- append: for a server that says so the event comes along, where it is small and fits on a line
CREATE FUNCTION pg_temp.told(p_payload text, p_before text DEFAULT '')
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_told text;
BEGIN
    PERFORM
        set_config('roost.gateway', 'on', true),
        set_config('roost.hands_over', 'on', true),
        set_config('roost.touched', p_before, true);
    PERFORM realtime.publish('user:told', 'x.told', p_payload::json, 1, 'everybody');
    v_told := replace(current_setting('roost.touched'), E'\t', '|');
    PERFORM
        set_config('roost.gateway', '', true),
        set_config('roost.hands_over', '', true),
        set_config('roost.touched', '', true);

    RETURN v_told;
END;
$$;
SELECT matches(
    pg_temp.told('{"text": "one"}'),
    '^user:told[|]1[|][0-9a-f-]{36}[|]x.told[|]first[|]1[|]everybody[|][|][|][{]"text": "one"[}]$',
    'all that there is to it'
);
SELECT is(pg_temp.told(told.payload), 'user:told', 'just the topic: ' || told.why)
FROM (
    VALUES
        (E'{"text":\n1}', 'a line of its own'),
        (E'{"text":\t1}', 'a part of its own'),
        ('"' || repeat('x', 4095) || '"', 'it is large')
) AS told (payload, why);
SELECT matches(
    pg_temp.told('"' || repeat('x', 4094) || '"'), '^user:told.5.', 'not quite as large'
);
SELECT is(
    right(pg_temp.told('{}', repeat('x', 32769)), 10), E'\nuser:told', 'so much other news'
);
SELECT is(
    (SELECT count(*) FROM realtime.events WHERE topic = 'user:told'), 6::bigint, 'all are stored'
);
SELECT set_config(
    'roost.touched', E'user:1\t1\t{"a": 1}\n!session:1\n~user:1\tx\t{}\nuser:2', true
);
SELECT realtime.redact('user:told', ARRAY[1], '{}');
SELECT is(
    current_setting('roost.touched'),
    E'user:1\n!session:1\n~user:1\tx\t{}\nuser:2',
    'redact: what was told is looked for in the log'
);
SELECT set_config('roost.touched', '', true);
DELETE FROM realtime.events WHERE topic = 'user:told';
DELETE FROM realtime.topics WHERE topic = 'user:told';
SELECT set_config('roost.gateway', '', true);
SELECT lives_ok(
    calling(
        'roost_api',
        NULL,
        format(
            'SELECT realtime.broadcast(%L, %L, %L)',
            'user:' || repeat('ü', 200),
            'x' || repeat('.', 99),
            to_json(repeat('x', 4094))
        )
    ),
    'the longest fits in a notification'
);
SELECT is_empty(
    $$ SELECT FROM realtime.events WHERE topic LIKE 'user:1%' OR event = 'typing' $$,
    'none of them is stored'
);
SELECT is_empty(
    $$ SELECT FROM realtime.topics WHERE topic LIKE 'user:1%' $$, 'nor has a topic an offset of one'
);

-- can_join
SELECT is(
    as_caller(
        session_user::text,
        caller.id::uuid,
        format('SELECT realtime.can_join(%L)', asked.topic)
    )::boolean,
    coalesce(caller.name = ANY (asked.allowed), false),
    format(
        '%s %s %s',
        caller.name,
        CASE WHEN caller.name = ANY (asked.allowed) THEN 'may join' ELSE 'may not join' END,
        coalesce(asked.topic, 'NULL')
    )
)
FROM (
    VALUES
        ('ada', '00000000-0000-7000-8000-00000000000a'),
        ('grace', '00000000-0000-7000-8000-00000000000b'),
        ('an outsider', '00000000-0000-7000-8000-00000000000c'),
        ('nobody', NULL)
) AS caller (name, id)
CROSS JOIN (
    VALUES
        ('conversation:00000000-0000-7000-9000-000000000001', '{ada,grace}'::text[]),
        -- ada has left it.
        ('conversation:00000000-0000-7000-9000-000000000002', '{grace}'),
        ('conversation:00000000-0000-7000-9000-000000000003', '{}'),
        ('user:00000000-0000-7000-8000-00000000000a', '{ada}'),
        ('user:00000000-0000-7000-8000-00000000000b', '{grace}'),
        ('device:00000000-0000-7000-8000-0000000000da', '{ada}'),
        -- It was revoked.
        ('device:00000000-0000-7000-8000-0000000000d0', '{}'),
        ('workspace:00000000-0000-7000-8000-00000000000a', '{}'),
        ('user:00000000-0000-7000-8000-00000000000A', '{}'),
        ('user:00000000-0000-7000-8000-00000000000a:x', '{}'),
        (E'user:00000000-0000-7000-8000-00000000000a\n', '{}'),
        ('conversation:', '{}'),
        ('', '{}'),
        (NULL, '{}')
) AS asked (topic, allowed);
SELECT is(
    as_caller(
        session_user::text,
        '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT realtime.can_join(''device:00000000-0000-7000-8000-0000000000da'')'
            ' FROM set_config(''roost.device_id'', %L, true)',
            device.id
        )
    ),
    device.answer,
    format('from device %L', device.id)
)
FROM (
    VALUES
        -- Another device of the same person, none, and its own.
        (1, '00000000-0000-7000-8000-0000000000d0', 'false'),
        (2, '', 'false'),
        (3, '00000000-0000-7000-8000-0000000000da', 'true')
) AS device (place, id, answer)
ORDER BY device.place;

-- join_topic
SELECT is(
    as_caller(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT (last_offset, epoch)::text FROM realtime.join_topic(%L, %L, %L)',
            asked.topic,
            asked.after,
            asked.epoch
        )
    ),
    asked.answer,
    asked.what
)
FROM (
    VALUES
        ('user:00000000-0000-7000-8000-00000000000a', NULL::bigint, NULL, '(4,first)', 'from now'),
        ('user:00000000-0000-7000-8000-00000000000a', NULL, 'second', '(4,first)', 'no offset'),
        ('user:00000000-0000-7000-8000-00000000000a', 0, NULL, '(4,first)', 'from the beginning'),
        ('user:00000000-0000-7000-8000-00000000000a', 3, 'first', '(4,first)', 'from the middle'),
        ('user:00000000-0000-7000-8000-00000000000a', 4, 'first', '(4,first)', 'from the end'),
        ('conversation:00000000-0000-7000-9000-000000000001', 0, NULL, '(1,first)', 'conversation')
) AS asked (topic, after, epoch, answer, what);
SELECT is(
    as_caller(
        'roost_user',
        '00000000-0000-7000-8000-00000000000c',
        $$
            SELECT (last_offset, epoch)::text
            FROM realtime.join_topic('user:00000000-0000-7000-8000-00000000000c', 0)
        $$
    ),
    '(0,first)',
    'a topic without events can be joined from its beginning'
);
SELECT throws_ok(
    calling(
        'roost_user',
        asked.user_id::uuid,
        format('SELECT realtime.join_topic(%L, %L, %L)', asked.topic, asked.after, asked.epoch)
    ),
    asked.sqlstate,
    NULL,
    'join refused: ' || asked.why
)
FROM (
    VALUES
        (
            NULL, 'user:00000000-0000-7000-8000-00000000000a', NULL::bigint, NULL,
            'RO101', 'nobody is signed in'
        ),
        (
            '00000000-0000-7000-8000-00000000000b', 'user:00000000-0000-7000-8000-00000000000a',
            NULL, NULL, 'RO401', 'the inbox of somebody else'
        ),
        (
            '00000000-0000-7000-8000-00000000000b', 'user:00000000-0000-7000-8000-00000000000a',
            99, 'second', 'RO401', 'of a topic that is not theirs nothing more is said'
        ),
        (
            '00000000-0000-7000-8000-00000000000a', 'user:00000000-0000-7000-8000-00000000000a',
            5, NULL, 'RO402', 'an offset to come'
        ),
        (
            '00000000-0000-7000-8000-00000000000a', 'user:00000000-0000-7000-8000-00000000000a',
            -1, NULL, 'RO402', 'an offset below 0'
        ),
        (
            '00000000-0000-7000-8000-00000000000a', 'user:00000000-0000-7000-8000-00000000000a',
            3, 'second', 'RO403', 'an offset of another log'
        ),
        (
            '00000000-0000-7000-8000-00000000000b',
            'conversation:00000000-0000-7000-9000-000000000002', 3, NULL, 'RO403',
            'events that are gone'
        )
) AS asked (user_id, topic, after, epoch, sqlstate, why);
SELECT lives_ok(
    calling(
        'roost_user',
        '00000000-0000-7000-8000-00000000000b',
        $$ SELECT realtime.join_topic('conversation:00000000-0000-7000-9000-000000000002', 7) $$
    ),
    'those behind the hole can be had'
);

-- join_topic: what somebody was added after
CREATE FUNCTION pg_temp.visible_after(p_user_id uuid, p_topic text, p_after bigint)
RETURNS text
LANGUAGE sql
RETURN as_caller(
    'roost_user',
    p_user_id,
    format('SELECT visible_after FROM realtime.join_topic(%L, %L)', p_topic, p_after)
);
INSERT INTO roost.conversations (id, user_id, last_seq)
VALUES ('00000000-0000-7000-9000-000000000004', '00000000-0000-7000-8000-00000000000a', 0);
INSERT INTO roost.conversation_participants (
    conversation_id, user_id, role, history_after_seq
)
VALUES
(
    '00000000-0000-7000-9000-000000000004', '00000000-0000-7000-8000-00000000000a', 'owner', 0
),
(
    '00000000-0000-7000-9000-000000000004', '00000000-0000-7000-8000-00000000000b', 'member', 3
);
SELECT is(
    pg_temp.visible_after(
        caller.id::uuid, 'conversation:00000000-0000-7000-9000-000000000004', caller.after
    ),
    caller.visible_after,
    format('%s, after %s', caller.name, coalesce(caller.after::text, 'now'))
)
FROM (
    VALUES
        ('who sees all', '00000000-0000-7000-8000-00000000000a', NULL::bigint, '0'),
        ('who sees all', '00000000-0000-7000-8000-00000000000a', 0, '0'),
        ('who was added from an offset on', '00000000-0000-7000-8000-00000000000b', NULL, '3'),
        -- There is nothing that they may not see.
        ('who was added from an offset on', '00000000-0000-7000-8000-00000000000b', 0, '3')
) AS caller (name, id, after, visible_after);
SELECT realtime.publish('conversation:00000000-0000-7000-9000-000000000004', 'c.some', '{}')
FROM generate_series(1, 5);
SELECT throws_ok(
    calling(
        'roost_user',
        '00000000-0000-7000-8000-00000000000b',
        format(
            'SELECT realtime.join_topic(%L, %s)',
            'conversation:00000000-0000-7000-9000-000000000004',
            asked.after
        )
    ),
    'RO403',
    NULL,
    format('join refused: from %s, where nothing up to 3 may be seen', asked.after)
)
FROM (VALUES (0), (2)) AS asked (after);
SELECT is(
    pg_temp.visible_after(
        '00000000-0000-7000-8000-00000000000b',
        'conversation:00000000-0000-7000-9000-000000000004',
        asked.after
    ),
    '3',
    format('joined from %s, where nothing up to 3 may be seen', asked.after)
)
FROM (VALUES (3), (5)) AS asked (after);
SELECT is(
    pg_temp.visible_after(
        '00000000-0000-7000-8000-00000000000b', 'user:00000000-0000-7000-8000-00000000000b', 0
    ),
    '0',
    'of other topics all may be seen'
);
DELETE FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000004';
DELETE FROM realtime.events
WHERE topic = 'conversation:00000000-0000-7000-9000-000000000004';
-- Those who were in it are told.
WITH told AS (
    DELETE FROM realtime.events
    WHERE event = 'conversation.removed'
        AND payload ->> 'conversation_id' = '00000000-0000-7000-9000-000000000004'
    RETURNING topic
)
UPDATE realtime.topics AS topic
SET last_offset = topic.last_offset - 1
FROM told
WHERE told.topic = topic.topic;

-- read_events
CREATE FUNCTION pg_temp.read(p_topics text[], p_afters bigint[], p_limit integer)
RETURNS text
LANGUAGE sql
RETURN as_caller(
    'roost_gateway',
    NULL,
    format(
        $$
            SELECT string_agg(concat_ws(' ', left(topic, 1), event_offset, event, epoch), ', ')
            FROM realtime.read_events(%L, %L, %L)
        $$,
        p_topics,
        p_afters,
        p_limit
    )
);
SELECT is(
    pg_temp.read(
        ARRAY[
            'user:00000000-0000-7000-8000-00000000000a',
            'conversation:00000000-0000-7000-9000-000000000001',
            'device:00000000-0000-7000-8000-0000000000da',
            'user:00000000-0000-7000-8000-00000000000b'
        ],
        asked.afters::bigint[],
        asked.most
    ),
    asked.answer,
    format('after %s, at most %s a topic', asked.afters, asked.most)
)
FROM (
    VALUES
        (
            '{0,0,0,0}', 10,
            'c 1 c.one first, d 1 d.one first, d 2 d.two first, u 1 a.one first, u 2 a.two first,'
            ' u 3 a.three first, u 4 a.four first'
        ),
        ('{2,1,2,0}', 10, 'u 3 a.three first, u 4 a.four first'),
        ('{0,0,0,0}', 1, 'c 1 c.one first, d 1 d.one first, u 1 a.one first'),
        ('{4,1,2,0}', 10, NULL)
) AS asked (afters, most, answer);

-- read_events: how long ago an event was written, in a transaction that may be longer
SELECT is(
    (
        SELECT array_agg(found.age BETWEEN since.began AND since.began + 60)
        FROM (
            SELECT
                extract(EPOCH FROM clock_timestamp() - written.written_at) AS began,
                written.written_at > now() AS is_later
            FROM realtime.events AS written
            WHERE written.topic = 'user:00000000-0000-7000-8000-00000000000a'
            ORDER BY written.event_offset
            LIMIT 1
        ) AS since
        CROSS JOIN realtime.read_events(
            '{user:00000000-0000-7000-8000-00000000000a}', '{0}', 1
        ) AS found
        WHERE since.is_later
    ),
    ARRAY[true],
    'the age begins when the event was written'
);

-- read_events: a page in bytes
INSERT INTO realtime.events (topic, event_offset, event, payload)
SELECT 'user:sizes', size.number, 'x', to_json(repeat('x', size.bytes - 2))
FROM (VALUES (1, 100), (2, 100), (3, 1000000), (4, 60000), (5, 100)) AS size (number, bytes);
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        format(
            $$
                SELECT string_agg(event_offset::text, ' ' ORDER BY place)
                FROM realtime.read_events('{user:sizes,user:sizes}', '{%s,4}', 4%s)
                WITH ORDINALITY AS read (
                    topic, event_offset, id, event, payload, epoch, about_offset, revokes, place
                )
            $$,
            page.after,
            ', ' || page.bytes
        )
    ),
    page.events,
    format('after %s, at most %s bytes a topic', page.after, coalesce(page.bytes::text, '1 MiB of'))
)
FROM (
    VALUES
        (0, 201, '1 2 3 5'),
        (0, 200, '1 2 5'),
        (0, 1, '1 5'),
        (2, 1, '3 5'),
        (0, NULL, '1 2 3 4 5'),
        (1, NULL, '2 3 4 5')
) AS page (after, bytes, events);
DELETE FROM realtime.events WHERE topic = 'user:sizes';

-- publish, append, read_events: what an event is about, and whose right ends with it
SELECT as_caller('roost_api', NULL, called.query)
FROM (
    VALUES
        ($$ SELECT realtime.publish('user:rights', 'm.one', '{"secret": 1}') $$),
        ($$ SELECT realtime.publish('user:rights', 'm.changed', '{"secret": 2}', 1) $$),
        ($$ SELECT realtime.publish('user:rights', 'p.gone', '{}', p_revokes => 'everybody') $$),
        ($$ SELECT realtime.append('user:rights', 4, 'm.changed', '{"secret": 3}', 1, 'one') $$)
) AS called (query);
CREATE FUNCTION pg_temp.rights()
RETURNS text
LANGUAGE sql
RETURN as_caller(
    'roost_gateway',
    NULL,
    $$
        SELECT string_agg(
            concat_ws(
                ' ',
                event_offset,
                event,
                payload,
                coalesce(about_offset::text, '-'),
                coalesce(revokes, '-')
            ),
            ', '
        )
        FROM realtime.read_events('{user:rights}', '{0}', 10)
    $$
);
SELECT is(
    pg_temp.rights(),
    '1 m.one {"secret": 1} - -, 2 m.changed {"secret": 2} 1 -, 3 p.gone {} - everybody,'
    ' 4 m.changed {"secret": 3} 1 one',
    'an event says what it is about, and whose right ends with it'
);

-- redact
SELECT lives_ok(
    calling(
        'roost_owner',
        NULL,
        $$ SELECT realtime.redact('user:rights', '{1,4,99}', '{"deleted": true}') $$
    ),
    'events can be overwritten, those that are gone passed over'
);
SELECT is(
    pg_temp.rights(),
    '1 m.one {"deleted": true} - -, 2 m.changed {"secret": 2} 1 -, 3 p.gone {} - everybody,'
    ' 4 m.changed {"deleted": true} 1 one',
    'their payloads go, and nothing else changes'
);
SELECT lives_ok(
    calling(
        'roost_owner', NULL, format('SELECT realtime.redact(%L, %L, %L)', topic, offsets, '{}')
    ),
    format('nothing is overwritten for %s of %s', coalesce(offsets, 'NULL'), topic)
)
FROM (VALUES ('user:rights', '{}'), ('user:rights', NULL), ('user:right', '{2}'))
AS asked (topic, offsets);
SELECT matches(pg_temp.rights(), '"secret": 2', 'so that is still there');

-- forget_topic
UPDATE realtime.topics SET last_offset = 4 WHERE topic = 'user:rights';
SELECT is(
    as_caller('roost_owner', NULL, $$ SELECT realtime.forget_topic('user:rights', 3) $$),
    '3',
    'a topic is forgotten in bites'
);
SELECT is(pg_temp.rights(), '4 m.changed {"deleted": true} 1 one', 'the oldest events go first');
SELECT is(realtime.last_offset('user:rights'), 4::bigint, 'as long as there are any it counts on');
SELECT is(
    as_caller(
        'roost_owner', NULL, format('SELECT realtime.forget_topic(%L, 3)', bite.topic)
    ),
    bite.deleted,
    bite.what
)
FROM (
    VALUES
        ('user:rights', '1', 'the last bite'),
        ('user:rights', '0', 'nothing is left'),
        ('conversation:00000000-0000-7000-9000-000000000009', '0', 'nor of what never was')
) AS bite (topic, deleted, what);
SELECT is_empty(
    $$ SELECT FROM realtime.topics WHERE topic = 'user:rights' $$, 'with the last event it goes'
);
SELECT isnt_empty(
    $$ SELECT FROM realtime.topics WHERE topic LIKE 'user:%' $$, 'and the others stay'
);

-- get_epoch, new_epoch
SELECT is(as_caller('roost_gateway', NULL, 'SELECT realtime.get_epoch()'), 'first', 'the epoch');
SELECT matches(realtime.new_epoch(), '^[0-9a-f]{12}$', 'whoever restores a backup makes a new one');
SELECT isnt(as_caller('roost_gateway', NULL, 'SELECT realtime.get_epoch()'), 'first', 'it holds');
SELECT throws_ok(
    calling(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        $$ SELECT realtime.join_topic('user:00000000-0000-7000-8000-00000000000a', 3, 'first') $$
    ),
    'RO403',
    NULL,
    'offsets of before are refused'
);
UPDATE realtime.log SET epoch = 'first';

-- find_ended_sessions
INSERT INTO roost.sessions (id, user_id, device_id, refresh_token_hash, expires_at, revoked_at)
SELECT
    ended.id::uuid,
    '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000da',
    sha256(ended.id::bytea),
    ended.expires_at,
    ended.revoked_at
FROM (
    VALUES
        ('00000000-0000-7000-8000-0000000000e1', now() + interval '1 hour', now()),
        ('00000000-0000-7000-8000-0000000000e2', now(), NULL)
) AS ended (id, expires_at, revoked_at);
SELECT is(
    as_caller(
        'roost_gateway',
        NULL,
        $$
            SELECT string_agg(right(id::text, 2), ' ' ORDER BY id)
            FROM roost.find_ended_sessions(
                ARRAY[
                    '00000000-0000-7000-8000-0000000000ea', '00000000-0000-7000-8000-0000000000e1',
                    '00000000-0000-7000-8000-0000000000e2', '00000000-0000-7000-8000-0000000000e3'
                ]::uuid[]
            ) AS id
        $$
    ),
    'e1 e2 e3',
    'sessions that were ended, have expired or never were are over'
);

-- maintain_partitions: what there was before it ran for the first time is in the default partition.
-- The day is that of the transaction, as in the function, so midnight changes nothing here.
CREATE FUNCTION pg_temp.partition_of(p_days integer)
RETURNS text
LANGUAGE sql
RETURN 'events_' || to_char((now() AT TIME ZONE 'UTC')::date + p_days, 'YYYYMMDD');
CREATE FUNCTION pg_temp.partitions()
RETURNS text[]
LANGUAGE sql
RETURN (
    SELECT array_agg(child.relname::text ORDER BY child.relname)
    FROM pg_catalog.pg_inherits AS link
    JOIN pg_catalog.pg_class AS child ON child.oid = link.inhrelid
    WHERE link.inhparent = 'realtime.events'::regclass AND child.relname <> 'events_default'
);
CREATE FUNCTION pg_temp.maintain(p_times integer)
RETURNS text
LANGUAGE sql
RETURN (
    SELECT string_agg(
        as_caller('roost_gateway', NULL, 'SELECT realtime.maintain_partitions()'), ' '
    )
    FROM generate_series(1, p_times)
);
CREATE TEMPORARY TABLE written AS SELECT * FROM realtime.events;
INSERT INTO realtime.events (topic, event_offset, event, payload, created_at)
VALUES
('user:1', 1, 'long.gone', '{}', now() - interval '9 days'),
('user:1', 2, 'not.yet', '{}', now() - interval '6 days');
SET LOCAL ROLE roost_owner;
DO $$
DECLARE
    v_days integer;
BEGIN
    FOREACH v_days IN ARRAY '{-20,-10,-8,-7}'::integer[] LOOP
        EXECUTE format(
            'CREATE TABLE realtime.%I (LIKE realtime.events INCLUDING CONSTRAINTS)',
            pg_temp.partition_of(v_days)
        );
        EXECUTE format(
            'ALTER TABLE realtime.events ATTACH PARTITION realtime.%I FOR VALUES FROM (%L) TO (%L)',
            pg_temp.partition_of(v_days),
            ((now() AT TIME ZONE 'UTC')::date + v_days)::timestamp AT TIME ZONE 'UTC',
            ((now() AT TIME ZONE 'UTC')::date + v_days + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END LOOP;
END;
$$;
RESET ROLE;
INSERT INTO realtime.events (topic, event_offset, event, payload, created_at)
VALUES ('user:1', 3, 'with.its.day', '{}', now() - interval '10 days');
SELECT is(
    (SELECT count(*) FROM realtime.events_default),
    (SELECT count(*) + 2 FROM written),
    'events of days without a partition go to the default one'
);
SELECT is(pg_temp.maintain(1), '10', 'the server looks after partitions, and learns what is left');
SELECT is(
    pg_temp.partitions(),
    (SELECT array_agg(pg_temp.partition_of(days)) FROM unnest('{-20,-10,-8,-7,1}'::int[]) AS days),
    'one call is one step: it makes one partition'
);
SELECT is(pg_temp.maintain(6), '9 8 7 6 5 4', 'then the others');
SELECT is_empty(
    $$
        SELECT FROM pg_catalog.pg_locks
        WHERE pid = pg_backend_pid()
            AND relation = 'realtime.events'::regclass
            AND mode = 'AccessExclusiveLock'
    $$,
    'for which nobody who reads is kept from events'
);
SELECT is(pg_temp.maintain(1), '3', 'then it drops one');
SELECT is(
    pg_temp.partitions(),
    (
        SELECT array_agg(pg_temp.partition_of(days))
        FROM unnest('{-10,-8,-7,1,2,3,4,5,6,7}'::int[]) AS days
    ),
    'the oldest'
);
SELECT is(pg_temp.maintain(4), '2 1 0 0', 'until there is nothing left to do');
SELECT is(
    pg_temp.partitions(),
    (SELECT array_agg(pg_temp.partition_of(days)) FROM unnest('{-7,1,2,3,4,5,6,7}'::int[]) AS days),
    'there is one for each of the next seven days, and none that is past retention'
);
SELECT results_eq(
    $$ SELECT event FROM realtime.events_default ORDER BY topic, event_offset $$,
    $$
        SELECT event FROM (
            SELECT topic, event_offset, event FROM written
            UNION ALL VALUES ('user:1', 2, 'not.yet')
        ) AS kept
        ORDER BY topic, event_offset
    $$,
    'the default partition has lost what is past retention, and kept the rest'
);
SELECT is_empty(
    $$
        SELECT child.relname
        FROM pg_catalog.pg_inherits AS link
        JOIN pg_catalog.pg_class AS child ON child.oid = link.inhrelid
        WHERE link.inhparent = 'realtime.events'::regclass
            AND child.relname <> pg_temp.partition_of(-7)
            AND (NOT child.relrowsecurity OR child.relowner <> 'roost_owner'::regrole)
    $$,
    'those that it made are the owner''s, under row-level security'
);
SELECT is(
    as_caller(
        'roost_api',
        NULL,
        $$ SELECT realtime.publish('user:00000000-0000-7000-8000-00000000000a', 'a.five', '{}') $$
    ),
    '5',
    'offsets go on'
);
SELECT is(
    pg_temp.read(ARRAY['user:00000000-0000-7000-8000-00000000000a'], ARRAY[3::bigint], 9),
    'u 4 a.four first, u 5 a.five first',
    'and reading does'
);
DELETE FROM realtime.events_default;
SELECT is(pg_temp.maintain(2), '0 0', 'today''s partition is made when nothing is in its place');
SELECT as_caller(
    'roost_api',
    NULL,
    $$ SELECT realtime.publish('user:00000000-0000-7000-8000-00000000000a', 'a.six', '{}') $$
);
SELECT results_eq(
    format('SELECT event FROM realtime.%I', pg_temp.partition_of(0)),
    $$ VALUES ('a.six') $$,
    'and takes what is new'
);
SELECT is(
    as_caller('roost_owner', NULL, step.query),
    step.left_over,
    step.query || ' leaves ' || step.left_over
)
FROM (
    VALUES
        ('SELECT realtime.make_partitions(9)', '1'),
        ('SELECT realtime.make_partitions(9)', '0'),
        ('SELECT realtime.make_partitions(9)', '0'),
        ('SELECT realtime.drop_old_partitions(''-1 day'')', '1'),
        ('SELECT realtime.drop_old_partitions(''-1 day'')', '0'),
        ('SELECT realtime.drop_old_partitions(''-1 day'')', '0')
) AS step (query, left_over);
SELECT is(
    pg_temp.partitions(),
    (SELECT array_agg(pg_temp.partition_of(days)) FROM generate_series(1, 9) AS days),
    'a day whose last moment is past retention goes as a whole'
);
SELECT throws_ok(
    calling(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        $$ SELECT realtime.join_topic('user:00000000-0000-7000-8000-00000000000a', 5) $$
    ),
    'RO403',
    NULL,
    'whoever had not read it has to fetch again'
);
INSERT INTO realtime.events (topic, event_offset, event, payload, created_at)
SELECT 'user:1', step.number, 'long.gone', '{}', now() - interval '9 days'
FROM generate_series(1, 10001) AS step (number);
SELECT is(
    pg_temp.maintain(3), '1 1 0', 'much that is past retention leaves the default one in bites'
);
SELECT is_empty('SELECT FROM realtime.events', 'and all of it does');

SELECT * FROM finish();

ROLLBACK;

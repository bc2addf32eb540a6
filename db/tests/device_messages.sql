-- Device messages: sending, listing, acknowledging, cancelling, expiring; each kind of caller, each
-- refusal. Who waits for whom is for tests/test_device_messages.py.
BEGIN;

SELECT plan(158);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(
    session.user_id::uuid, session.device_id::uuid,
    replace(session.device_id, '8000', 'b000')::uuid
)
FROM (
    VALUES
        -- Ada's phone, editor and tablet, and two that are not active
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d1'),
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d2'),
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d3'),
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d4'),
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d5'),
        ('00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-0000000000e1')
) AS session (user_id, device_id);
UPDATE roost.devices SET status = 'revoked' WHERE id = '00000000-0000-7000-8000-0000000000d4';
SELECT set_config('roost.gateway', 'on', true);

-- A statement that calls as a person on a device: ada's where it is one of d1 to d5.
CREATE FUNCTION pg_temp.on_device(p_device text, p_query text)
RETURNS text
LANGUAGE sql
RETURN format(
    'SELECT set_config(''roost.device_id'', %L, true) IS NULL, as_caller(''roost_user'', %L, %L)',
    coalesce('00000000-0000-7000-8000-0000000000' || p_device, ''),
    '00000000-0000-7000-8000-00000000000' || CASE p_device WHEN 'e1' THEN 'b' ELSE 'a' END,
    p_query
);
CREATE FUNCTION pg_temp.ask(p_device text, p_query text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_answer text;
    v_set boolean;
BEGIN
    EXECUTE pg_temp.on_device(p_device, p_query) INTO v_set, v_answer;
    RETURN v_answer;
END;
$$;
CREATE FUNCTION pg_temp.device(p_device text)
RETURNS text
LANGUAGE sql
RETURN '00000000-0000-7000-8000-0000000000' || p_device;
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(message ORDER BY id) FROM roost.device_messages AS message),
        (SELECT json_agg(outcome ORDER BY id) FROM roost.device_message_outcomes AS outcome),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event),
        (SELECT json_agg(topic ORDER BY topic) FROM realtime.topics AS topic),
        current_setting('roost.touched', true)
    );
$$;
-- What waits for a device, by the end of its ids and its places, as itself sees it.
CREATE FUNCTION pg_temp.waiting(p_device text)
RETURNS text
LANGUAGE sql
RETURN pg_temp.ask(
    p_device,
    'SELECT string_agg(right(listed.id::text, 2) || ''.'' || listed.number, '' '')'
    ' FROM api.list_device_messages() AS listed'
);
CREATE TEMPORARY TABLE known (name text PRIMARY KEY, value text);
INSERT INTO known SELECT 'state', pg_temp.state();

-- Who may call
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || called.call),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM (
    VALUES
        ('api.send_device_message(''00000000-0000-7000-8000-0000000000d2'', ''x'')'),
        ('api.list_device_messages()'),
        ('api.acknowledge_device_messages(''{}'')'),
        ('api.cancel_device_message(NULL)')
) AS called (call)
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || called.call),
    '42501',
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM (
    VALUES
        ('roost.expire_device_messages(1)', 'roost_gateway'),
        ('roost.finish_device_messages(''{}'', ''expired'')', 'roost_api'),
        ('roost.require_queue_space(NULL)', 'roost_api'),
        ('realtime.take_offset(''user:1'')', 'roost_api')
) AS called (call, allowed)
JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway'), ('roost_api')
) AS caller (role) ON caller.role <> called.allowed;

-- send_device_message: what is refused
SELECT throws_ok(
    pg_temp.on_device(bad.device, format('SELECT api.send_device_message(%s)', bad.arguments)),
    bad.sqlstate,
    NULL,
    'refused: ' || bad.what
)
FROM (
    VALUES
        ('d1', '''00000000-0000-7000-8000-0000000000e1'', ''x''', 'RO201', 'somebody else''s'),
        ('d1', '''00000000-0000-7000-8000-0000000000ff'', ''x''', 'RO201', 'one that never was'),
        ('d1', '''00000000-0000-7000-8000-0000000000d4'', ''x''', 'RO201', 'a revoked device'),
        ('d1', 'NULL, ''x''', 'RO201', 'no device'),
        ('d4', '''00000000-0000-7000-8000-0000000000d1'', ''x''', 'RO201', 'from a revoked one'),
        ('e1', '''00000000-0000-7000-8000-0000000000d1'', ''x''', 'RO201', 'from a stranger''s'),
        (NULL, '''00000000-0000-7000-8000-0000000000d1'', ''x''', 'RO201', 'from no device'),
        ('d1', '''00000000-0000-7000-8000-0000000000d2'', ''X''', '23514', 'a type in capitals'),
        ('d1', '''00000000-0000-7000-8000-0000000000d2'', ''''', '23514', 'a type without a name'),
        (
            'd1', '''00000000-0000-7000-8000-0000000000d2'', repeat(''x'', 65)', '23514',
            'a long type'
        ),
        ('d1', '''00000000-0000-7000-8000-0000000000d2'', NULL', '23502', 'no type'),
        (
            'd1', '''00000000-0000-7000-8000-0000000000d2'', ''x'', ''[]''', '23514',
            'a payload that is no object'
        ),
        ('d1', '''00000000-0000-7000-8000-0000000000d2'', ''x'', NULL', '23502', 'no payload'),
        (
            'd1',
            '''00000000-0000-7000-8000-0000000000d2'', ''x'','
            ' jsonb_build_object(''x'', repeat(''x'', 65536))',
            '23514', 'more than 64 KiB'
        ),
        (
            'd1', '''00000000-0000-7000-8000-0000000000d2'', ''x'', ttl_seconds => 0', '23514',
            'no time'
        ),
        (
            'd1', '''00000000-0000-7000-8000-0000000000d2'', ''x'', ttl_seconds => -5', '23514',
            'time that is over'
        ),
        (
            'd1', '''00000000-0000-7000-8000-0000000000d2'', ''x'', ttl_seconds => 2592001',
            '23514', 'more than 30 days'
        ),
        (
            'd1', '''00000000-0000-7000-8000-0000000000d2'', ''x'', ttl_seconds => NULL', '23502',
            'time without an end'
        )
) AS bad (device, arguments, sqlstate, what);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- send_device_message
SELECT is(
    pg_temp.ask(
        'd1',
        $$
            SELECT row_to_json(sent)::jsonb - 'created_at' - 'expires_at'
            FROM api.send_device_message(
                '00000000-0000-7000-8000-0000000000d2', 'command.run', '{"command": "make test"}',
                '00000000-0000-7000-c000-000000000001'
            ) AS sent
            WHERE sent.created_at = now() AND sent.expires_at = now() + interval '86400 seconds'
        $$
    )::jsonb,
    '{
        "id": "00000000-0000-7000-c000-000000000001",
        "from_device_id": "00000000-0000-7000-8000-0000000000d1",
        "to_device_id": "00000000-0000-7000-8000-0000000000d2",
        "number": 1,
        "state": "waiting",
        "message_type": "command.run",
        "payload": {"command": "make test"},
        "reply_to": null
    }'::jsonb,
    'a message is sent, for a day'
);
SELECT is(
    current_setting('roost.touched', true), 'device:' || pg_temp.device('d2'),
    'the receiving device is told'
);
SELECT is(
    (
        SELECT concat_ws(' ', event.event, event.event_offset, event.payload)
        FROM realtime.events AS event
        WHERE event.topic = 'device:' || pg_temp.device('d2')
    ),
    'device_message.created 1 ' || pg_temp.ask(
        'd2', 'SELECT row_to_json(listed) FROM api.list_device_messages() AS listed'
    ),
    'of what it can list, under its number'
);
SELECT set_config('roost.touched', '', true);
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT is(
    pg_temp.ask(
        'd1',
        $$
            SELECT concat_ws(' ', sent.number, sent.state, sent.payload)
            FROM api.send_device_message(
                '00000000-0000-7000-8000-0000000000d2', 'command.run',
                '{"command":   "make test"}', '00000000-0000-7000-c000-000000000001'
            ) AS sent
        $$
    ),
    '1 waiting {"command": "make test"}',
    'sent again it answers the first'
);
SELECT is(
    current_setting('roost.touched', true), 'device:' || pg_temp.device('d2'),
    'and the receiving device is told, lest nobody has told it'
);
SELECT set_config('roost.touched', '', true);
SELECT throws_ok(
    pg_temp.on_device(
        bad.device,
        format(
            'SELECT api.send_device_message(''00000000-0000-7000-8000-0000000000%s'', %s,'
            ' id => ''00000000-0000-7000-c000-000000000001'')',
            bad.receiver, bad.arguments
        )
    ),
    bad.sqlstate,
    NULL,
    'refused: the same id with another ' || bad.what
)
FROM (
    VALUES
        ('d1', 'd2', '''command.run'', ''{"command": "make"}''', 'RO301', 'payload'),
        ('d1', 'd2', '''command'', ''{"command": "make test"}''', 'RO301', 'type'),
        ('d1', 'd3', '''command.run'', ''{"command": "make test"}''', 'RO301', 'receiver'),
        (
            'd1', 'd2', '''command.run'', ''{"command": "make test"}'', ttl_seconds => 86401',
            'RO301', 'time'
        ),
        (
            'd1', 'd2',
            '''command.run'', ''{"command": "make test"}'', reply_to => gen_random_uuid()',
            'RO301', 'reply_to'
        ),
        ('d2', 'd2', '''command.run'', ''{"command": "make test"}''', 'RO301', 'sender'),
        (
            'd3', 'd2', '''command.run'', ''{"command": "make test"}''', '23505',
            'sender, who does not see the first'
        ),
        ('e1', 'e1', '''x''', '23505', 'person')
) AS bad (device, receiver, arguments, sqlstate, what);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- More of them: two devices send to the editor, one of them for 2 seconds, and the editor answers.
SELECT lives_ok(
    pg_temp.on_device(
        sent.device,
        format(
            'SELECT api.send_device_message(%L, ''x'', id => %L, ttl_seconds => %s,'
            ' reply_to => %L)',
            pg_temp.device(sent.receiver), '00000000-0000-7000-c000-0000000000' || sent.id,
            sent.seconds, '00000000-0000-7000-c000-0000000000' || sent.reply_to
        )
    ),
    sent.what
)
FROM (
    VALUES
        (1, 'd3', 'd2', '02', 2, NULL, 'another device sends'),
        (2, 'd1', 'd2', '03', 2592000, NULL, 'and the first, for 30 days'),
        (3, 'd2', 'd1', '04', 1, '01', 'the editor answers the phone, for a second'),
        (4, 'd2', 'd1', '05', 60, 'ff', 'and answers what is gone'),
        (5, 'd1', 'd1', '06', 60, NULL, 'the phone leaves itself a message'),
        (6, 'd1', 'd2', '07', 60, '04', 'and answers the answer')
) AS sent (place, device, receiver, id, seconds, reply_to, what)
ORDER BY sent.place;
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT throws_ok(
    pg_temp.on_device(
        bad.device,
        format(
            'SELECT api.send_device_message(%L, ''x'', reply_to =>'
            ' ''00000000-0000-7000-c000-000000000001'')',
            pg_temp.device(bad.receiver)
        )
    ),
    'RO302',
    NULL,
    bad.what
)
FROM (
    VALUES
        ('d2', 'd3', 'a reply does not go to a third device'),
        ('d1', 'd2', 'nor from the one that has sent the message')
) AS bad (device, receiver, what);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- list_device_messages: each device its own
SELECT is(pg_temp.waiting(listed.device), listed.messages, coalesce(listed.device, 'no device'))
FROM (
    VALUES
        ('d1', '04.1 05.2 06.3'),
        ('d2', '01.1 02.2 03.3 07.4'),
        ('d3', NULL),
        ('e1', NULL),
        (NULL, NULL)
) AS listed (device, messages);
SELECT is(
    pg_temp.ask(
        'd2',
        format(
            'SELECT string_agg(right(id::text, 2), '' '') FROM api.list_device_messages(%s)',
            page.arguments
        )
    ),
    page.messages,
    format('list_device_messages(%s)', page.arguments)
)
FROM (
    VALUES
        ('page_size => 2', '01 02'),
        ('2, 1', '03'),
        ('3', '07'),
        ('4', NULL),
        ('NULL', '01 02 03 07')
) AS page (arguments, messages);
SELECT throws_ok(
    pg_temp.on_device('d2', 'SELECT api.list_device_messages(0, 0)'),
    'RO302', NULL, 'there are no empty pages'
);
UPDATE roost.device_messages
SET created_at = now() - interval '1 hour', expires_at = now()
WHERE id = '00000000-0000-7000-c000-000000000002';
SELECT is(pg_temp.waiting('d2'), '01.1 03.3 07.4', 'what is past its time is not listed');
SELECT is(
    pg_temp.ask(
        'd3',
        $$
            SELECT state || ' ' || message_type FROM api.send_device_message(
                '00000000-0000-7000-8000-0000000000d2', 'x',
                id => '00000000-0000-7000-c000-000000000002', ttl_seconds => 3600
            )
        $$
    ),
    'expired x',
    'nor is it sent again'
);

-- acknowledge_device_messages
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT throws_ok(
    pg_temp.on_device('d2', format('SELECT api.acknowledge_device_messages(%s)', bad.ids)),
    'RO302',
    NULL,
    'no list of ids: ' || bad.ids
)
FROM (
    VALUES ('NULL'), ('array_fill(NULL::uuid, ARRAY[1001])')
) AS bad (ids);
SELECT is(
    pg_temp.ask(
        nobody.device,
        format(
            'SELECT api.acknowledge_device_messages(%L::uuid[])',
            (SELECT array_agg(id) FROM roost.device_messages WHERE to_device_id::text LIKE '%d2')
        )
    ),
    '0',
    'nothing of another device''s is acknowledged by ' || coalesce(nobody.device, 'no device')
)
FROM (VALUES ('d1'), ('d3'), ('e1'), (NULL)) AS nobody (device);
SELECT is(
    pg_temp.ask('d2', format('SELECT api.acknowledge_device_messages(%s)', empty.ids)),
    '0',
    'nothing by ' || empty.ids
)
FROM (
    VALUES
        ('''{}'''),
        ('''{NULL}'''),
        ('array_fill(NULL::uuid, ARRAY[1000])'),
        ('ARRAY[gen_random_uuid()]')
) AS empty (ids);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');
SELECT set_config('roost.touched', '', true);
SELECT is(
    pg_temp.ask(
        'd2',
        $$
            SELECT api.acknowledge_device_messages(ARRAY[
                '00000000-0000-7000-c000-000000000003', '00000000-0000-7000-c000-000000000002',
                '00000000-0000-7000-c000-000000000001', '00000000-0000-7000-c000-000000000001',
                '00000000-0000-7000-c000-000000000004', NULL
            ]::uuid[])
        $$
    ),
    '3',
    'a device acknowledges what is its own, also what is just past its time'
);
SELECT is(
    current_setting('roost.touched'),
    concat_ws(
        E'\n',
        'device:' || pg_temp.device('d1'), 'device:' || pg_temp.device('d1'),
        'device:' || pg_temp.device('d3')
    ),
    'those who sent it are told, each once for a message'
);
SELECT results_eq(
    $$
        SELECT right(topic, 2), right(payload ->> 'id', 2), right(payload ->> 'device_id', 2)
        FROM realtime.events
        WHERE event = 'device_message.acknowledged'
        ORDER BY topic, event_offset
    $$,
    $$ VALUES ('d1', '01', 'd2'), ('d1', '03', 'd2'), ('d3', '02', 'd2') $$,
    'by whom'
);
SELECT is(pg_temp.waiting('d2'), '07.4', 'they wait no longer');
SELECT is_empty(
    $$
        SELECT FROM roost.device_messages
        WHERE id IN (
            '00000000-0000-7000-c000-000000000001', '00000000-0000-7000-c000-000000000002',
            '00000000-0000-7000-c000-000000000003'
        )
    $$,
    'and are deleted'
);
SELECT results_eq(
    $$
        SELECT event_offset, payload::jsonb - 'created_at' - 'expires_at'
        FROM realtime.events
        WHERE topic LIKE 'device:%0000d2' AND event = 'device_message.created' AND event_offset = 1
    $$,
    $$ VALUES (
        1::bigint,
        '{
            "id": "00000000-0000-7000-c000-000000000001",
            "from_device_id": "00000000-0000-7000-8000-0000000000d1",
            "to_device_id": "00000000-0000-7000-8000-0000000000d2",
            "number": 1,
            "state": "acknowledged",
            "message_type": null,
            "payload": null,
            "reply_to": null
        }'::jsonb
    ) $$,
    'from the log too, which keeps its offset'
);
SELECT results_eq(
    $$
        SELECT event_offset, payload ->> 'state', payload ->> 'message_type'
        FROM realtime.events WHERE topic LIKE 'device:%0000d2' ORDER BY event_offset
    $$,
    $$ VALUES
        (1::bigint, 'acknowledged', NULL), (2, 'acknowledged', NULL), (3, 'acknowledged', NULL),
        (4, 'waiting', 'x') $$,
    'and nothing of what still waits'
);
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT is(
    pg_temp.ask(
        'd2',
        'SELECT api.acknowledge_device_messages(''{00000000-0000-7000-c000-000000000001}'')'
    ),
    '0',
    'acknowledging twice does nothing'
);
SELECT is(
    pg_temp.ask(
        'd1',
        $$
            SELECT concat_ws(' ', right(sent.id::text, 2), number, state, message_type, payload)
            FROM api.send_device_message(
                '00000000-0000-7000-8000-0000000000d2', 'command.run', '{"command": "make test"}',
                '00000000-0000-7000-c000-000000000001'
            ) AS sent
        $$
    ),
    '01 1 acknowledged',
    'sent once more it answers what became of it'
);

-- cancel_device_message
SELECT throws_ok(
    pg_temp.on_device(bad.device, format('SELECT api.cancel_device_message(%L)', bad.id)),
    'RO201',
    NULL,
    'nothing to cancel: ' || bad.what
)
FROM (
    VALUES
        ('d2', '00000000-0000-7000-c000-000000000007', 'by the device that it waits for'),
        ('d3', '00000000-0000-7000-c000-000000000007', 'by another of the same person'),
        ('e1', '00000000-0000-7000-c000-000000000007', 'by somebody else'),
        (NULL, '00000000-0000-7000-c000-000000000007', 'by no device'),
        ('d1', '00000000-0000-7000-c000-0000000000ff', 'what never was'),
        ('d3', '00000000-0000-7000-c000-000000000001', 'what another device has sent'),
        ('d1', NULL, 'nothing')
) AS bad (device, id, what);
SELECT is(
    pg_temp.ask(
        'd1',
        'SELECT state FROM api.cancel_device_message(''00000000-0000-7000-c000-000000000001'')'
    ),
    'acknowledged',
    'what was acknowledged stays so'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');
SELECT set_config('roost.touched', '', true);
SELECT is(
    pg_temp.ask(
        'd1',
        $$
            SELECT concat_ws(' ', state, number, message_type, payload, reply_to)
            FROM api.cancel_device_message('00000000-0000-7000-c000-000000000007')
        $$
    ),
    'cancelled 4',
    'a device takes back what it has sent'
);
SELECT is(
    current_setting('roost.touched'), 'device:' || pg_temp.device('d2'),
    'the receiving device is told'
);
SELECT results_eq(
    $$
        SELECT event_offset, event, right(payload ->> 'id', 2),
            right(payload ->> 'device_id', 2), payload ->> 'state'
        FROM realtime.events
        WHERE topic LIKE 'device:%0000d2' AND event_offset >= 4
        ORDER BY event_offset
    $$,
    $$ VALUES
        (4::bigint, 'device_message.created', '07', NULL, 'cancelled'),
        (5, 'device_message.cancelled', '07', 'd1', NULL) $$,
    'and what it said is gone'
);
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT is(
    pg_temp.ask(
        'd1',
        'SELECT state FROM api.cancel_device_message(''00000000-0000-7000-c000-000000000007'')'
    ),
    'cancelled',
    'twice changes nothing'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- The functions of the owner check by themselves.
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT roost.finish_device_messages(%L, %L)',
            (SELECT array_agg(message.id) FROM roost.device_messages AS message), state
        )
    ),
    '0',
    format('none is %s without its device', coalesce(state, 'done with'))
)
FROM unnest(ARRAY['acknowledged', 'cancelled', 'expired', 'waiting', NULL]) AS state,
    set_config('roost.device_id', '', true);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- expire_device_messages
UPDATE roost.device_messages
SET created_at = now() - interval '1 hour', expires_at = now() - number * interval '1 second'
WHERE id IN ('00000000-0000-7000-c000-000000000004', '00000000-0000-7000-c000-000000000005');
UPDATE roost.device_message_outcomes
SET finished_at = now() - interval '7 days 1 second'
WHERE id <> '00000000-0000-7000-c000-000000000007';
SELECT set_config('roost.touched', '', true);
SELECT is(
    as_caller(
        'roost_gateway', NULL, format('SELECT roost.expire_device_messages(%s)', step.number)
    ),
    step.answer,
    format('%s: expire_device_messages(%s)', step.place, step.number)
)
FROM (
    VALUES (1, '1', '1'), (2, '2', '2'), (3, '2', '0'), (4, '2', '0'), (5, 'NULL', NULL)
) AS step (place, number, answer)
ORDER BY step.place;
SELECT is(pg_temp.waiting('d1'), '06.3', 'what waits stays');
SELECT results_eq(
    $$
        SELECT right(id::text, 2), state::text FROM roost.device_message_outcomes ORDER BY id
    $$,
    $$ VALUES ('04', 'expired'), ('05', 'expired'), ('07', 'cancelled') $$,
    'what became of the others is known for 7 days'
);
SELECT results_eq(
    $$
        SELECT event, right(payload ->> 'id', 2), right(payload ->> 'device_id', 2)
        FROM realtime.events
        WHERE topic LIKE 'device:%0000d2' AND event_offset > 5
        ORDER BY event_offset
    $$,
    $$ VALUES
        ('device_message.expired', '05', 'd1'), ('device_message.expired', '04', 'd1') $$,
    'the device that sent them is told, oldest first'
);
SELECT results_eq(
    $$
        SELECT event_offset, payload ->> 'state' FROM realtime.events
        WHERE topic LIKE 'device:%0000d1' AND event = 'device_message.created'
        ORDER BY event_offset
    $$,
    $$ VALUES (1::bigint, 'expired'), (2, 'expired'), (3, 'waiting') $$,
    'and what they said is gone'
);
SELECT is(
    pg_temp.ask(
        'd1',
        $$
            SELECT number || ' ' || state FROM api.send_device_message(
                '00000000-0000-7000-8000-0000000000d2', 'command.run', '{"command": "make"}',
                '00000000-0000-7000-c000-000000000001'
            )
        $$
    ),
    '8 waiting',
    'an id that is forgotten stands for a new message, in a number of its own'
);

-- A queue has an end
INSERT INTO roost.device_messages (
    user_id, from_device_id, to_device_id, number, message_type, created_at, expires_at
)
SELECT
    '00000000-0000-7000-8000-00000000000a', pg_temp.device('d1')::uuid,
    pg_temp.device('d3')::uuid, number, 'x', now() - interval '1 hour',
    now() + CASE WHEN number <= 5 THEN '0 seconds'::interval ELSE '1 hour'::interval END
FROM generate_series(101, 1099) AS number;
SELECT lives_ok(
    pg_temp.on_device(
        'd2', format('SELECT api.send_device_message(%L, ''x'')', pg_temp.device('d3'))
    ),
    'the 1,000th message still waits'
);
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT throws_ok(
    pg_temp.on_device(
        'd1', format('SELECT api.send_device_message(%L, ''x'')', pg_temp.device('d3'))
    ),
    'RO205',
    NULL,
    'the next does not, whoever sends it'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');
UPDATE roost.device_messages SET expires_at = now() WHERE number = 1000;
SELECT lives_ok(
    pg_temp.on_device(
        'd1', format('SELECT api.send_device_message(%L, ''x'')', pg_temp.device('d3'))
    ),
    'what is past its time takes no place'
);
DELETE FROM roost.device_messages WHERE number >= 101;

-- A device that is revoked: what waits for it goes, and what it has sent.
SELECT lives_ok(
    pg_temp.on_device(
        sent.device,
        format(
            'SELECT api.send_device_message(%L, ''x'', id => %L)',
            pg_temp.device(sent.receiver), '00000000-0000-7000-d000-0000000000' || sent.id
        )
    ),
    format('%s sends to %s', sent.device, sent.receiver)
)
FROM (
    VALUES ('d5', 'd2', '01'), ('d2', 'd5', '02'), ('d5', 'd5', '03'), ('d1', 'd3', '04')
) AS sent (device, receiver, id);
SELECT lives_ok(
    pg_temp.on_device('d1', format('SELECT api.revoke_device(%L)', pg_temp.device('d5'))),
    'a device is revoked'
);
SELECT results_eq(
    'SELECT right(id::text, 2) FROM roost.device_messages WHERE id::text LIKE ''%-d000-%''',
    $$ VALUES ('04') $$,
    'what has nothing to do with it is left'
);
SELECT results_eq(
    $$
        SELECT right(payload ->> 'id', 2), payload ->> 'state', payload ->> 'message_type'
        FROM realtime.events WHERE payload ->> 'id' LIKE '%-d000-%' ORDER BY 1
    $$,
    $$ VALUES
        ('01', 'cancelled', NULL), ('02', 'cancelled', NULL), ('03', 'cancelled', NULL),
        ('04', 'waiting', 'x') $$,
    'also in the log, and nobody is told more'
);
SELECT throws_ok(
    pg_temp.on_device(
        'd2',
        format(
            'SELECT api.send_device_message(%L, ''x'', id =>'
            ' ''00000000-0000-7000-d000-000000000002'')',
            pg_temp.device('d5')
        )
    ),
    'RO201',
    NULL,
    'and it gets nothing more, nor what was sent before'
);

-- A device that goes takes its messages along, and they are gone from the log.
DELETE FROM roost.devices WHERE id = pg_temp.device('d3')::uuid;
SELECT is_empty(
    $$
        SELECT FROM realtime.events
        WHERE payload ->> 'id' LIKE '%-d000-%' AND payload ->> 'state' <> 'cancelled'
    $$,
    'a device that goes takes its messages along'
);

-- A device that signing in has made, and that its session leaves, stays while it has messages.
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', pg_temp.device('d' || number)::uuid,
    ('00000000-0000-7000-b000-0000000000d' || number)::uuid
)
FROM generate_series(6, 8) AS number;
SELECT lives_ok(
    pg_temp.on_device(
        sent.device,
        format('SELECT api.send_device_message(%L, ''x'')', pg_temp.device(sent.receiver))
    ),
    format('%s sends to %s', sent.device, sent.receiver)
)
FROM (VALUES ('d6', 'd1'), ('d1', 'd7')) AS sent (device, receiver);
SELECT lives_ok(
    format(
        $$
            SELECT set_config('roost.session_id', '00000000-0000-7000-b000-0000000000%1$s', true);
            SELECT pg_temp.ask(%1$L, 'SELECT api.register_device(''Phone'', ''phone'','
                ' device_id => ''00000000-0000-7000-8000-0000000000d1'')');
        $$,
        'd' || number
    ),
    format('the session on d%s moves', number)
)
FROM generate_series(6, 8) AS number;
SELECT results_eq(
    $$
        SELECT right(id::text, 2) FROM roost.devices
        WHERE right(id::text, 2) IN ('d6', 'd7', 'd8') ORDER BY id
    $$,
    $$ VALUES ('d6'), ('d7') $$,
    'from a device with messages, which stays, or without'
);

-- take_offset
SELECT is(
    as_caller('roost_api', NULL, 'SELECT realtime.take_offset(''user:1'')'),
    number::text,
    'offsets are taken one after another'
)
FROM generate_series(1, 2) AS number;

SELECT * FROM finish();

ROLLBACK;

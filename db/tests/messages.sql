-- Messages: sending, repeating, listing; each kind of caller, each refusal.
BEGIN;

SELECT plan(49);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000ea'
);
INSERT INTO roost.conversations (id, user_id)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'viewer'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner'
);

-- send_message: who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        format(
            'SELECT api.send_message(%L, ''{"text": "no"}'', id => %s)',
            caller.conversation, made.id
        )
    ),
    caller.sqlstate,
    NULL,
    format('%s may not send%s', caller.name, made.how)
)
FROM (
    VALUES
    ('roost_anon', NULL, '00000000-0000-7000-9000-000000000001', '42501', 'a stranger'),
    ('roost_service', NULL, '00000000-0000-7000-9000-000000000001', '42501', 'a service'),
    ('roost_user', NULL, '00000000-0000-7000-9000-000000000001', 'RO101', 'nobody'),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000c',
        '00000000-0000-7000-9000-000000000001', 'RO201', 'an outsider'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        '00000000-0000-7000-9000-000000000001', 'RO202', 'a viewer'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-9000-0000000000ff', 'RO201', 'anyone to no conversation'
    )
) AS caller (role, id, conversation, sqlstate, name)
CROSS JOIN (VALUES ('NULL', ''), ('gen_random_uuid()', ', with an id')) AS made (id, how);
SELECT is((SELECT count(*) FROM roost.messages), 0::bigint, 'and nothing was sent');
SELECT is(
    (SELECT sum(last_seq) FROM roost.conversations), 0::numeric, 'no number was used up'
);

-- send_message: what it does
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hello"}',
            id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '1',
    'the first message has seq 1'
);
SELECT results_eq(
    $$
        SELECT id, conversation_id, seq, user_id, device_id, message_type, content::jsonb
        FROM roost.messages
    $$,
    $$ VALUES (
        '00000000-0000-7000-a000-000000000001'::uuid,
        '00000000-0000-7000-9000-000000000001'::uuid,
        1::bigint,
        '00000000-0000-7000-8000-00000000000a'::uuid,
        '00000000-0000-7000-8000-0000000000da'::uuid,
        'text',
        '{"text": "hello"}'::jsonb
    ) $$,
    'it is stored with who sent it and on which device'
);
SELECT results_eq(
    $$
        SELECT
            topic, event_offset, event, actor_id, payload ->> 'id', payload -> 'content' ->> 'text'
        FROM realtime.events
    $$,
    $$ VALUES (
        'conversation:00000000-0000-7000-9000-000000000001', 1::bigint, 'message.created',
        '00000000-0000-7000-8000-00000000000a'::uuid, '00000000-0000-7000-a000-000000000001',
        'hello'
    ) $$,
    'and the conversation gets it as an event under the same number'
);

-- send_message: the same id again
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hello"}',
            id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '1',
    'the same id and body answer the first message'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(%s, id => ''00000000-0000-7000-a000-000000000001'')',
            other.arguments
        )
    ),
    'RO301',
    NULL,
    'the same id is refused with another ' || other.part
)
FROM (
    VALUES
    ('''00000000-0000-7000-9000-000000000001'', ''{"text": "bye"}''', 'content'),
    ('''00000000-0000-7000-9000-000000000002'', ''{"text": "hello"}''', 'conversation'),
    (
        '''00000000-0000-7000-9000-000000000001'', ''{"text": "hello"}'', message_type => ''code''',
        'type'
    ),
    (
        '''00000000-0000-7000-9000-000000000001'', ''{"text": "hello"}'', metadata => ''{"a": 1}''',
        'metadata'
    )
) AS other (arguments, part);
SELECT is((SELECT count(*) FROM roost.messages), 1::bigint, 'still one message');
SELECT is(
    (SELECT last_seq FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000001'),
    1::bigint,
    'and one number'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000c',
        $$ SELECT api.send_message(
            (api.create_conversation()).id, '{}', id => '00000000-0000-7000-a000-000000000001') $$
    ),
    '23505',
    NULL,
    'an id of a message that one can''t see is taken all the same'
);

-- send_message: bad input
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', %s)', bad.arguments
        )
    ),
    bad.sqlstate,
    NULL,
    'refused: ' || left(bad.arguments, 60)
)
FROM (
    VALUES
    ('NULL', '23502'),
    ('''"text"''', '23514'),
    ('jsonb_build_object(''x'', repeat(''x'', 262144))', '23514'),
    -- A kilobyte as it is sent, and 13 MB as everybody would get it.
    (
        '(SELECT jsonb_build_object(''x'', jsonb_agg(''1e131071''::jsonb))'
        ' FROM generate_series(1, 100))',
        '23514'
    ),
    ('''{}'', message_type => ''Not a type''', '23514'),
    ('''{}'', metadata => ''3''', '23514'),
    ('''{}'', parent_message_id => gen_random_uuid()', '23503')
) AS bad (arguments, sqlstate);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT api.send_message(
            '00000000-0000-7000-9000-000000000002', '{}',
            parent_message_id => '00000000-0000-7000-a000-000000000001') $$
    ),
    '23503',
    NULL,
    'a parent in another conversation is refused'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "answer"}',
            parent_message_id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '2',
    'an answer in the same conversation gets the next number, without a gap'
);

-- list_messages
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.list_messages('00000000-0000-7000-9000-000000000001') $$
    ),
    caller.sqlstate,
    NULL,
    caller.name || ' may not list messages'
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format(
            'SELECT string_agg(seq::text, '','') FROM api.list_messages(%L%s)',
            '00000000-0000-7000-9000-000000000001', page.arguments
        )
    ),
    page.answer,
    'a viewer reads' || page.arguments
)
FROM (
    VALUES
    ('', '2,1'),
    (', page_size => 1', '2'),
    (', before_seq => 2', '1'),
    (', after_seq => 0', '1,2'),
    (', after_seq => 2', NULL)
) AS page (arguments, answer);

SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT api.list_messages(
                '00000000-0000-7000-9000-000000000001', before_seq => 2, after_seq => 0
            )
        $$
    ),
    'RO302',
    NULL,
    'but not in both directions at once'
);

-- list_messages: a page in bytes. A message here has 250,011 with its metadata, so that 17 have
-- more than 4 MiB.
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000002', step.number, '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object('x', repeat('x', 250000))
FROM generate_series(1, 20) AS step (number);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT concat_ws('' '', count(*), min(seq), max(seq)) FROM api.list_messages(%L, %s)',
            '00000000-0000-7000-9000-000000000002', page.arguments
        )
    ),
    page.answer,
    'large messages, ' || page.arguments
)
FROM (
    VALUES
    ('after_seq => 0', '17 1 17'),
    ('after_seq => 17', '3 18 20'),
    ('after_seq => 20', '0'),
    ('before_seq => 21', '17 4 20'),
    ('before_seq => 21, page_size => 16', '16 5 20')
) AS page (arguments, answer);

SELECT * FROM finish();

ROLLBACK;

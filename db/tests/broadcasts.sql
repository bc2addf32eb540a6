-- Broadcasts of clients: who may, which names are the server's own, and those that are kept because
-- no notification has room for them; each kind of caller, each refusal.
BEGIN;

SELECT plan(69);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
INSERT INTO roost.devices (id, user_id, status)
VALUES
('00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-00000000000a', 'active'),
('00000000-0000-7000-8000-0000000000db', '00000000-0000-7000-8000-00000000000b', 'active'),
('00000000-0000-7000-8000-0000000000d0', '00000000-0000-7000-8000-00000000000a', 'revoked');
INSERT INTO roost.conversations (id, user_id, archived_at)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', NULL),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', now());
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'),
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'viewer'),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner');

-- ask_broadcasts: who may
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT realtime.ask_broadcasts(''{user:1}'', ''{x}'')'),
    caller.sqlstate,
    NULL,
    format('ask_broadcasts: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', '42501', 'a stranger'),
    ('roost_service', '42501', 'a service'),
    ('roost_gateway', '42501', 'the server itself'),
    ('roost_user', 'RO101', 'nobody')
) AS caller (role, sqlstate, name);
SELECT is(
    as_caller(
        'roost_user', asked.user_id::uuid,
        format(
            'SELECT is_allowed FROM realtime.ask_broadcasts(ARRAY[%L], ARRAY[''x''])', asked.topic
        )
    ),
    asked.is_allowed,
    format('%s: %s', asked.name, asked.is_allowed)
)
FROM (
    VALUES
    (
        '00000000-0000-7000-8000-00000000000a',
        'conversation:00000000-0000-7000-9000-000000000001', 'true', 'whoever may write there'
    ),
    (
        '00000000-0000-7000-8000-00000000000b',
        'conversation:00000000-0000-7000-9000-000000000001', 'false', 'a viewer'
    ),
    (
        '00000000-0000-7000-8000-00000000000c',
        'conversation:00000000-0000-7000-9000-000000000001', 'false', 'an outsider'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'conversation:00000000-0000-7000-9000-000000000002', 'false', 'anyone in the archive'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'conversation:00000000-0000-7000-9000-0000000000ff', 'false', 'no conversation'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'user:00000000-0000-7000-8000-00000000000a', 'true', 'their own inbox'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'user:00000000-0000-7000-8000-00000000000b', 'false', 'somebody else''s inbox'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'device:00000000-0000-7000-8000-0000000000da', 'true', 'their own device'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'device:00000000-0000-7000-8000-0000000000db', 'false', 'somebody else''s device'
    ),
    (
        '00000000-0000-7000-8000-00000000000a',
        'device:00000000-0000-7000-8000-0000000000d0', 'false', 'a revoked device'
    ),
    ('00000000-0000-7000-8000-00000000000a', 'conversation:one', 'false', 'a malformed id'),
    ('00000000-0000-7000-8000-00000000000a', '', 'false', 'no topic at all')
) AS asked (user_id, topic, is_allowed, name);

-- ask_broadcasts: names
SELECT is(
    realtime.is_reserved_event(kind.topic, named.event),
    named.is_reserved,
    format('%s in %s: %s', named.event, kind.topic, named.is_reserved)
)
FROM (VALUES ('conversation:1'), ('user:1')) AS kind (topic)
CROSS JOIN (
    VALUES
    ('message.created', true),
    ('participant.x', true),
    ('conversation.added', true),
    ('account.updated', true),
    ('conflict.opened', true),
    ('sync.progress', true),
    ('device.revoked', true),
    ('device_message.created', true),
    ('presence', true),
    ('presence_diff', true),
    ('typing', true),
    ('hidden', true),
    ('must_refetch', true),
    ('message', false),
    ('cursor', false),
    ('my.message.created', false),
    ('Typing', false)
) AS named (event, is_reserved);
SELECT is(realtime.is_reserved_event('elsewhere:1', 'typing'), false, 'elsewhere names are free');
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$
            SELECT string_agg(format('%s/%s', is_allowed, is_reserved), ' ')
            FROM realtime.ask_broadcasts(
                ARRAY[
                    'user:00000000-0000-7000-8000-00000000000a', 'user:1',
                    'user:00000000-0000-7000-8000-00000000000a', 'user:1'
                ],
                ARRAY['x', 'x', 'typing', 'typing']
            )
        $$
    ),
    't/f f/f t/t f/t',
    'many are answered in their order'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT count(*) FROM realtime.ask_broadcasts(''{}'', ''{}'')'
    ),
    '0',
    'and none is none'
);

-- What is too large
SELECT throws_ok(
    calling(caller.role, '00000000-0000-7000-8000-00000000000a', made.call),
    '42501',
    NULL,
    format('%s: not for %s', made.call, caller.role)
)
FROM (VALUES ('roost_anon'), ('roost_user')) AS caller (role)
CROSS JOIN (
    VALUES
    ('SELECT realtime.keep_large_broadcast(''user:1'', ''x'', ''1'')'),
    ('SELECT realtime.read_large_broadcast(''00000000-0000-7000-8000-00000000000a'')'),
    ('SELECT realtime.expire_large_broadcasts(1)')
) AS made (call);
SELECT throws_ok(
    calling(
        'roost_gateway', NULL,
        format('SELECT realtime.keep_large_broadcast(%s)', made.arguments)
    ),
    '23514',
    NULL,
    format('refused: %s', made.name)
)
FROM (
    VALUES
    ('''user:1'', ''x'', NULL', 'no payload'),
    ('''user:1'', ''x'', ''1'', ''1''', 'two payloads'),
    ('''user:1'', ''x'', to_json(repeat(''x'', 1048576))', 'a larger payload than 1 MiB'),
    ('''user:1'', ''x'', NULL, repeat(''x'', 1048577)::bytea', 'more bytes than 1 MiB'),
    ('repeat(''x'', 256), ''x'', ''1''', 'a long topic')
) AS made (arguments, name);
SELECT is(
    (SELECT count(*) FROM realtime.large_broadcasts), 0::bigint, 'nothing of that is kept'
);
SELECT is(
    as_caller(
        'roost_gateway', NULL,
        format(
            'SELECT concat_ws('' '', topic, event, payload, raw) FROM'
            ' realtime.read_large_broadcast(%L)',
            as_caller(
                'roost_gateway', NULL,
                format('SELECT realtime.keep_large_broadcast(''user:1'', ''x'', %s)', made.payload)
            )
        )
    ),
    made.answer,
    format('%s is read as it was kept', made.name)
)
FROM (
    VALUES
    ('''{"b": 1,  "a": "\u0000"}''', 'user:1 x {"b": 1,  "a": "\u0000"}', 'JSON'),
    ('NULL, ''\x00ff''', 'user:1 x \x00ff', 'bytes')
) AS made (payload, answer, name);
UPDATE realtime.large_broadcasts SET created_at = now() - '2 minutes'::interval WHERE raw IS NULL;
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT realtime.expire_large_broadcasts(1)'),
    '0', 'there is no more'
);
SELECT is(
    (SELECT string_agg(kept.raw::text, ' ') FROM realtime.large_broadcasts AS kept),
    '\x00ff', 'what is new stays'
);

SELECT * FROM finish();

ROLLBACK;

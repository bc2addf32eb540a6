-- Receipts: markers that move forward, who has read what, unread counts; each kind of caller, each
-- refusal.
BEGIN;

SELECT plan(62);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'viewer@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000e', 'late@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000f', 'gone@example.com');
INSERT INTO roost.conversations (
    id, user_id, last_seq, last_number, expired_number, last_activity, archived_at, deleted_at
)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 6, 4, 0,
    now(), NULL, NULL
),
-- Of four messages the first two have expired.
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 4, 4, 2,
    now() + interval '1 minute', NULL, NULL
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 4, 4, 0,
    now(), now(), NULL
),
(
    '00000000-0000-7000-9000-000000000004', '00000000-0000-7000-8000-00000000000a', 4, 4, 0,
    now(), NULL, now()
),
(
    '00000000-0000-7000-9000-000000000005', '00000000-0000-7000-8000-00000000000a', 4, 4, 0,
    now(), NULL, NULL
),
-- All have expired.
(
    '00000000-0000-7000-9000-000000000006', '00000000-0000-7000-8000-00000000000a', 4, 4, 4,
    now(), NULL, NULL
);
INSERT INTO roost.conversation_participants (
    conversation_id, user_id, role, suspended, left_at, joined_at, history_after_seq,
    last_read_seq, last_delivered_seq, read_number
)
SELECT
    conversation.id,
    '00000000-0000-7000-8000-00000000000a',
    'owner',
    conversation.deleted_at IS NOT NULL,
    NULL,
    now(),
    0,
    -- Ada wrote all there is but for the third in the first conversation.
    4,
    4,
    4
FROM roost.conversations AS conversation;
INSERT INTO roost.conversation_participants (
    conversation_id, user_id, role, suspended, left_at, joined_at, history_after_seq,
    last_read_seq, last_delivered_seq, read_number
)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'member',
    false, NULL, now(), 0, 0, 0, 0
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000d', 'viewer',
    false, NULL, now(), 0, 0, 0, 0
),
-- Added after the second message, with what was there before.
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000e', 'member',
    false, NULL, now() + interval '1 second', 2, 2, 2, 2
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000f', 'member',
    false, now(), now(), 0, 4, 4, 4
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000b', 'member',
    false, NULL, now(), 0, 1, 1, 1
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000b', 'member',
    false, NULL, now(), 0, 0, 0, 0
),
(
    '00000000-0000-7000-9000-000000000004', '00000000-0000-7000-8000-00000000000b', 'member',
    true, NULL, now(), 0, 0, 0, 0
),
(
    '00000000-0000-7000-9000-000000000005', '00000000-0000-7000-8000-00000000000b', 'member',
    false, now(), now(), 0, 0, 0, 0
),
(
    '00000000-0000-7000-9000-000000000006', '00000000-0000-7000-8000-00000000000b', 'member',
    false, NULL, now(), 0, 1, 1, 1
);
-- Offset 5 is no message, nor is 6.
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, content, created_at)
SELECT
    ('00000000-0000-7000-a000-00000000000' || step.number)::uuid,
    '00000000-0000-7000-9000-000000000001',
    step.number,
    step.number,
    CASE
        WHEN step.number = 3 THEN '00000000-0000-7000-8000-00000000000b'::uuid
        ELSE '00000000-0000-7000-8000-00000000000a'::uuid
    END,
    '{"text": "hello"}',
    now() + CASE WHEN step.number > 2 THEN interval '2 seconds' ELSE interval '0' END
FROM generate_series(1, 4) AS step (number);
INSERT INTO roost.messages (conversation_id, seq, number, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000003', 4, 4, '00000000-0000-7000-8000-00000000000a',
    '{"text": "kept"}';

-- Who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        format('SELECT api.%s(''00000000-0000-7000-9000-000000000001'', 1)', made.name)
    ),
    caller.sqlstate,
    NULL,
    format('%s: not for %s', made.name, caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider'),
    ('roost_user', '00000000-0000-7000-8000-00000000000f', 'RO201', 'somebody who has left')
) AS caller (role, id, sqlstate, name)
CROSS JOIN (VALUES ('mark_read'), ('mark_delivered')) AS made (name);
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.list_readers('00000000-0000-7000-a000-000000000001') $$
    ),
    caller.sqlstate,
    NULL,
    format('list_readers: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider'),
    ('roost_user', '00000000-0000-7000-8000-00000000000f', 'RO201', 'somebody who has left'),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000e', 'RO201',
        'somebody added after the message'
    )
) AS caller (role, id, sqlstate, name);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT api.get_unread_counts()'),
    caller.sqlstate,
    NULL,
    format('get_unread_counts: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', '42501', 'a stranger'),
    ('roost_service', '42501', 'a service'),
    ('roost_user', 'RO101', 'nobody')
) AS caller (role, sqlstate, name);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format('SELECT api.%s(%s)', made.name, bad.arguments)
    ),
    bad.sqlstate,
    NULL,
    format('%s: refused: %s', made.name, bad.name)
)
FROM (
    VALUES
    (
        '''00000000-0000-7000-9000-000000000001'', 7', 'RO302', 'what the conversation has not got'
    ),
    ('''00000000-0000-7000-9000-000000000001'', NULL', 'RO302', 'no seq'),
    ('''00000000-0000-7000-9000-000000000004'', 1', 'RO201', 'a deleted conversation'),
    ('''00000000-0000-7000-9000-0000000000ff'', 1', 'RO201', 'no conversation'),
    ('NULL, 1', 'RO201', 'NULL')
) AS bad (arguments, sqlstate, name)
CROSS JOIN (VALUES ('mark_read'), ('mark_delivered')) AS made (name);
SELECT is(
    (
        SELECT sum(last_read_seq + last_delivered_seq)
        FROM roost.conversation_participants
        WHERE user_id = '00000000-0000-7000-8000-00000000000b'
    ),
    4::numeric,
    'no marker has moved'
);
SELECT is_empty('SELECT * FROM realtime.events', 'and nobody was told anything');

-- What they do
SELECT is(
    as_caller('roost_user', step.caller::uuid, format(
        'SELECT concat_ws('' '', last_read_seq, last_delivered_seq, unread_count)'
        ' FROM api.%s(''00000000-0000-7000-9000-000000000001'', %s)',
        step.name, step.up_to_seq
    )),
    step.answer,
    format('%s up to %s: %s', step.name, step.up_to_seq, step.what)
)
FROM (
    VALUES
    (1, '00000000-0000-7000-8000-00000000000b', 'mark_delivered', 2, '0 2 4', 'delivered'),
    (2, '00000000-0000-7000-8000-00000000000b', 'mark_read', 1, '1 2 3', 'read, and still further'),
    (3, '00000000-0000-7000-8000-00000000000b', 'mark_read', 3, '3 3 1', 'read is delivered'),
    (4, '00000000-0000-7000-8000-00000000000b', 'mark_read', 2, '3 3 1', 'not back'),
    (5, '00000000-0000-7000-8000-00000000000b', 'mark_read', -1, '3 3 1', 'far less'),
    (6, '00000000-0000-7000-8000-00000000000b', 'mark_delivered', 3, '3 3 1', 'no step'),
    (7, '00000000-0000-7000-8000-00000000000b', 'mark_delivered', 6, '3 6 1', 'beyond messages'),
    -- The events of these steps are 7 to 10.
    (8, '00000000-0000-7000-8000-00000000000b', 'mark_delivered', 10, '3 6 1', 'no message there'),
    (9, '00000000-0000-7000-8000-00000000000d', 'mark_read', 4, '4 4 0', 'a viewer too'),
    (10, '00000000-0000-7000-8000-00000000000e', 'mark_read', 2, '2 2 2', 'nothing that they see'),
    (11, '00000000-0000-7000-8000-00000000000e', 'mark_read', 3, '3 3 1', 'from now on')
) AS step (place, caller, name, up_to_seq, answer, what)
ORDER BY step.place;
SELECT is(
    (
        SELECT string_agg(
            concat_ws(
                ' ', event.event_offset, event.event, right(event.payload ->> 'user_id', 1),
                event.payload ->> 'last_read_seq', event.payload ->> 'last_delivered_seq',
                event.payload ->> 'unread_count'
            ),
            ', ' ORDER BY event.event_offset
        )
        FROM realtime.events AS event
    ),
    '7 receipt b 0 2 4, 8 receipt b 1 2 3, 9 receipt b 3 3 1, 10 receipt b 3 6 1,'
    ' 11 receipt d 4 4 0, 12 receipt e 3 3 1',
    'what moved was told, and nothing else'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT concat_ws(' ', last_read_seq, last_delivered_seq, unread_count)
            FROM api.mark_read('00000000-0000-7000-9000-000000000003', 4)
        $$
    ),
    '4 4 0',
    'in the archive too'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT concat_ws(' ', last_read_seq, last_delivered_seq, unread_count)
            FROM api.mark_read('00000000-0000-7000-9000-000000000006', 4)
        $$
    ),
    '1 1 0',
    'where all messages have expired, there is none to read'
);

-- list_readers
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        format(
            'SELECT string_agg(right(user_id::text, 1) || '' '' || has_read, '', '')'
            ' FROM api.list_readers(''00000000-0000-7000-a000-00000000000%s''%s)',
            page.message, page.arguments
        )
    ),
    page.answer,
    format('readers of message %s%s: %s', page.message, page.arguments, page.what)
)
FROM (
    VALUES
    (1, '', 'b true, d true', 'not its author, nor who has left, nor who was not there yet'),
    (3, '', 'a true, d true, e true', 'who was there'),
    (4, '', 'b false, d true', 'who has got it alone is said not to have read it'),
    (4, ', page_size => 1', 'b false', 'a page'),
    (
        4, ', after_user_id => ''00000000-0000-7000-8000-00000000000b''', 'd true', 'the next page'
    ),
    (4, ', after_user_id => ''00000000-0000-7000-8000-00000000000d''', NULL, 'no more')
) AS page (message, arguments, answer, what);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT api.list_readers('00000000-0000-7000-a000-000000000001', page_size => 201) $$
    ),
    'RO302',
    NULL,
    'a page is not that large'
);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000d', 'SELECT api.list_readers(NULL)'),
    'RO201',
    NULL,
    'no message has no readers'
);

-- get_unread_counts
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        'SELECT row_to_json(counts) FROM api.get_unread_counts() AS counts'
    )::jsonb,
    '{"total": 3, "conversations": [
        {"conversation_id": "00000000-0000-7000-9000-000000000002", "unread_count": 2},
        {"conversation_id": "00000000-0000-7000-9000-000000000001", "unread_count": 1}
    ]}'::jsonb,
    'what is unread, last active first, without archive, deleted, left, read and expired'
);
SELECT is(
    as_caller(
        'roost_user', caller.id::uuid,
        'SELECT row_to_json(counts) FROM api.get_unread_counts() AS counts'
    )::jsonb,
    '{"total": 0, "conversations": []}'::jsonb,
    caller.name
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000c', 'nothing for somebody without conversations'),
    ('00000000-0000-7000-8000-00000000000d', 'nothing for somebody who has read all')
) AS caller (id, name);

-- An operator who deletes an account takes its messages: here the last ones of two conversations.
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000004';
INSERT INTO roost.messages (conversation_id, seq, number, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000002', 3, 3, '00000000-0000-7000-8000-00000000000a',
    '{"text": "kept"}';
SELECT is(
    as_caller('roost_user', '00000000-0000-7000-8000-00000000000b', format(
        'SELECT concat_ws('' '', last_read_seq, last_delivered_seq, unread_count)'
        ' FROM api.%s(''00000000-0000-7000-9000-00000000000%s'', %s)',
        step.name, step.conversation, step.up_to_seq
    )),
    step.answer,
    step.what
)
FROM (
    VALUES
    (1, 1, 'mark_read', 2, '3 6 1', 'before the newest that is left, nothing is marked'),
    (2, 1, 'mark_delivered', 6, '3 6 1', 'nor is anything read that is delivered'),
    (3, 1, 'mark_read', 3, '3 6 0', 'with the newest that is left, all is read'),
    (4, 1, 'mark_read', 3, '3 6 0', 'once'),
    (5, 2, 'mark_read', 3, '3 3 0', 'in the same step as the newest itself')
) AS step (place, conversation, name, up_to_seq, answer, what)
ORDER BY step.place;
SELECT is(
    (
        SELECT string_agg(
            concat_ws(
                ' ', event.payload ->> 'last_read_seq', event.payload ->> 'last_delivered_seq',
                event.payload ->> 'unread_count'
            ),
            ', ' ORDER BY event.event_offset
        )
        FROM realtime.events AS event
        WHERE event.topic LIKE 'conversation:%0000001'
            AND event.event_offset > 12
            AND event.event = 'receipt'
    ),
    '3 6 0',
    'and the others hear of it once'
);

SELECT * FROM finish();

ROLLBACK;

-- What is listed of many messages at once: attachments of a conversation, mentions of a person;
-- each kind of caller, each refusal.
BEGIN;

SELECT plan(34);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'viewer@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000e', 'late@example.com');
INSERT INTO roost.conversations (id, user_id, last_seq, last_number, archived_at)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 4, 4, NULL
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 1, 1, now()
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 1, 1, NULL
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, history_after_seq)
SELECT
    conversation.id,
    person.id::uuid,
    person.role::roost.participant_role,
    CASE WHEN person.role = 'admin' THEN 1 ELSE 0 END
FROM roost.conversations AS conversation
CROSS JOIN (
    VALUES
    ('00000000-0000-7000-8000-00000000000a', 'owner'),
    ('00000000-0000-7000-8000-00000000000b', 'member'),
    ('00000000-0000-7000-8000-00000000000d', 'viewer'),
    ('00000000-0000-7000-8000-00000000000e', 'admin')
) AS person (id, role);
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, content, created_at)
SELECT
    ('00000000-0000-7000-a000-0000000000' || sent.conversation || sent.seq)::uuid,
    ('00000000-0000-7000-9000-00000000000' || sent.conversation)::uuid,
    sent.seq,
    sent.seq,
    '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object('text', sent.text),
    now() + sent.second * interval '1 second'
FROM (
    VALUES
    (1, 1, '@grace@example.com and @late@example.com', 1),
    (1, 2, 'nobody', 2),
    (1, 3, '@grace@example.com', 3),
    (1, 4, '@late@example.com, @grace@example.com', 4),
    (2, 1, '@grace@example.com', 3),
    (3, 1, '@grace@example.com', 0)
) AS sent (conversation, seq, text, second);
INSERT INTO roost.message_attachments (
    id, message_id, conversation_id, seq, place, name, media_type, size, sha256, file_id, url
)
SELECT
    ('00000000-0000-7000-b000-0000000000' || attached.seq || attached.place)::uuid,
    ('00000000-0000-7000-a000-00000000001' || attached.seq)::uuid,
    '00000000-0000-7000-9000-000000000001',
    attached.seq,
    attached.place,
    attached.name,
    'text/plain',
    5,
    repeat('0', 64),
    attached.file_id::uuid,
    attached.url
FROM (
    VALUES
    (1, 1, 'one', '00000000-0000-7000-8000-0000000000f1', NULL),
    (2, 1, 'two', '00000000-0000-7000-8000-0000000000f2', NULL),
    (2, 2, 'three', NULL, 'https://example.com/three'),
    (2, 3, 'four', '00000000-0000-7000-8000-0000000000f4', NULL),
    (4, 1, 'five', '00000000-0000-7000-8000-0000000000f5', NULL)
) AS attached (seq, place, name, file_id, url);

-- Who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        format('SELECT api.list_attachments(%L)', caller.conversation)
    ),
    caller.sqlstate,
    NULL,
    format('list_attachments: not for %s', caller.name)
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
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-9000-0000000000ff', 'RO201', 'anyone in no conversation'
    )
) AS caller (role, id, conversation, sqlstate, name);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT api.list_mentions()'),
    caller.sqlstate,
    NULL,
    format('list_mentions: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', '42501', 'a stranger'),
    ('roost_service', '42501', 'a service'),
    ('roost_user', 'RO101', 'nobody')
) AS caller (role, sqlstate, name);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000a', 'SELECT api.' || bad.query),
    'RO302',
    NULL,
    'refused: ' || bad.query
)
FROM (
    VALUES
    ('list_attachments(''00000000-0000-7000-9000-000000000001'', page_size => 0)'),
    ('list_attachments(''00000000-0000-7000-9000-000000000001'', after_place => 1)'),
    ('list_mentions(page_size => 201)'),
    ('list_mentions(before_created_at => now())'),
    ('list_mentions(before_id => gen_random_uuid())')
) AS bad (query);

-- list_attachments
SELECT is(
    as_caller(
        'roost_user', page.caller::uuid,
        format(
            'SELECT string_agg(name, '' '') FROM api.list_attachments(%L%s)',
            '00000000-0000-7000-9000-000000000001', page.arguments
        )
    ),
    page.answer,
    page.name || page.arguments
)
FROM (
    VALUES
    (
        '00000000-0000-7000-8000-00000000000d', '', 'five two three four one', 'a viewer reads all'
    ),
    (
        '00000000-0000-7000-8000-00000000000e', '', 'five two three four',
        'who was added later reads what came since'
    ),
    ('00000000-0000-7000-8000-00000000000d', ', page_size => 2', 'five two', 'a page'),
    (
        '00000000-0000-7000-8000-00000000000d', ', 2, 1, page_size => 2', 'three four',
        'goes on within a message'
    ),
    (
        '00000000-0000-7000-8000-00000000000d', ', before_seq => 2, after_place => 3', 'one',
        'and with the next one'
    ),
    ('00000000-0000-7000-8000-00000000000d', ', before_seq => 2', 'one', 'or begins there'),
    ('00000000-0000-7000-8000-00000000000d', ', before_seq => 1', NULL, 'to the end')
) AS page (caller, arguments, answer, name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT row_to_json(attachment)::jsonb - 'created_at'
            FROM api.list_attachments('00000000-0000-7000-9000-000000000001', 2, 1, 1) AS attachment
        $$
    )::jsonb,
    jsonb_build_object(
        'id', '00000000-0000-7000-b000-000000000022',
        'conversation_id', '00000000-0000-7000-9000-000000000001',
        'message_id', '00000000-0000-7000-a000-000000000012',
        'seq', 2,
        'place', 2,
        'user_id', '00000000-0000-7000-8000-00000000000a',
        'name', 'three',
        'media_type', 'text/plain',
        'size', 5,
        'sha256', repeat('0', 64),
        'file_id', NULL,
        'url', 'https://example.com/three'
    ),
    'with where it is and who sent it'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT count(*) FROM api.list_attachments('00000000-0000-7000-9000-000000000002') $$
    ),
    '0',
    'those of one conversation are not in another, though it is archived'
);

-- list_mentions
SELECT is(
    as_caller(
        'roost_user', page.caller::uuid,
        format(
            'SELECT string_agg(right(id::text, 2), '' '') FROM api.list_mentions(%s)',
            page.arguments
        )
    ),
    page.answer,
    format('list_mentions(%s): %s', page.arguments, page.name)
)
FROM (
    VALUES
    (
        '00000000-0000-7000-8000-00000000000b', '', '14 21 13 11 31',
        'newest first, of all conversations'
    ),
    ('00000000-0000-7000-8000-00000000000b', 'page_size => 2', '14 21', 'a page'),
    (
        '00000000-0000-7000-8000-00000000000b',
        'before_created_at => now() + interval ''3 seconds'','
        ' before_id => ''00000000-0000-7000-a000-000000000021''',
        '13 11 31', 'the rest'
    ),
    (
        '00000000-0000-7000-8000-00000000000b',
        'before_created_at => now(), before_id => ''00000000-0000-7000-a000-000000000031''', NULL,
        'to the end'
    ),
    ('00000000-0000-7000-8000-00000000000e', '', '14', 'not what came before one was added'),
    ('00000000-0000-7000-8000-00000000000a', '', NULL, 'not those of others'),
    ('00000000-0000-7000-8000-00000000000c', '', NULL, 'not what an outsider may not see')
) AS page (caller, arguments, answer, name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000e',
        $$
            SELECT row_to_json(mentioned)::jsonb = row_to_json(listed)::jsonb
            FROM api.list_mentions() AS mentioned
            CROSS JOIN api.list_messages('00000000-0000-7000-9000-000000000001', page_size => 1)
                AS listed
        $$
    ),
    'true',
    'as list_messages has them'
);

-- What is deleted, and who is gone
UPDATE roost.messages SET deleted_at = now() WHERE id = '00000000-0000-7000-a000-000000000014';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT string_agg(name, ' ')
            FROM api.list_attachments('00000000-0000-7000-9000-000000000001')
        $$
    ),
    'two three four one',
    'what a deleted message had attached is hidden'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT string_agg(right(id::text, 2), ' ') FROM api.list_mentions() $$
    ),
    '21 13 11 31',
    'as is that it mentioned anybody'
);
UPDATE roost.conversation_participants SET left_at = now()
WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
    AND user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT string_agg(right(id::text, 2), ' ') FROM api.list_mentions() $$
    ),
    '21 31',
    'whoever has left reads nothing there'
);

-- A page in bytes: 17 messages of 250,000 have more than 4 MiB.
INSERT INTO roost.messages (conversation_id, seq, number, user_id, content, created_at)
SELECT
    '00000000-0000-7000-9000-000000000003', step.number, step.number,
    '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object('text', '@viewer@example.com ' || repeat('x', 250000)),
    now() + step.number * interval '1 second'
FROM generate_series(2, 21) AS step (number);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        'SELECT concat_ws('' '', count(*), min(seq), max(seq)) FROM api.list_mentions()'
    ),
    '17 5 21',
    'a page of large messages ends early'
);

SELECT * FROM finish();

ROLLBACK;

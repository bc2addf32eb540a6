-- Reactions: giving, taking back, listing, the summary that a message has of them; each kind of
-- caller, each refusal.
BEGIN;

SELECT plan(75);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'viewer@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000e', 'late@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000f', 'admin@example.com');
INSERT INTO roost.conversations (id, user_id, last_seq, last_number, archived_at)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 3, 3, NULL
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 1, 1, now()
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, history_after_seq)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner', 0
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'member', 0
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000d', 'viewer', 0
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000e', 'member', 2
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000f', 'admin', 0
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner', 0
);
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, content)
VALUES
(
    '00000000-0000-7000-a000-000000000001', '00000000-0000-7000-9000-000000000001', 1, 1,
    '00000000-0000-7000-8000-00000000000a', '{"text": "one"}'
),
(
    '00000000-0000-7000-a000-000000000002', '00000000-0000-7000-9000-000000000001', 2, 2,
    '00000000-0000-7000-8000-00000000000b', '{"text": "two"}'
),
(
    '00000000-0000-7000-a000-000000000003', '00000000-0000-7000-9000-000000000001', 3, 3,
    '00000000-0000-7000-8000-00000000000a', '{"text": "three"}'
),
(
    '00000000-0000-7000-a000-000000000004', '00000000-0000-7000-9000-000000000002', 1, 1,
    '00000000-0000-7000-8000-00000000000a', '{"text": "kept"}'
);

-- Who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid, format('SELECT api.%s(%L, ''+1'')', made.name, caller.message)
    ),
    caller.sqlstate,
    NULL,
    format('%s: not for %s', made.name, caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '00000000-0000-7000-a000-000000000001', '42501', 'a stranger'),
    ('roost_service', NULL, '00000000-0000-7000-a000-000000000001', '42501', 'a service'),
    ('roost_user', NULL, '00000000-0000-7000-a000-000000000001', 'RO101', 'nobody'),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000c',
        '00000000-0000-7000-a000-000000000001', 'RO201', 'an outsider'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        '00000000-0000-7000-a000-000000000001', 'RO202', 'a viewer'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000e',
        '00000000-0000-7000-a000-000000000002', 'RO201', 'somebody added after the message'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-a000-0000000000ff', 'RO201', 'anyone about no message'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-a000-000000000004', 'RO203', 'anyone in the archive'
    )
) AS caller (role, id, message, sqlstate, name)
CROSS JOIN (VALUES ('add_reaction'), ('remove_reaction')) AS made (name);
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.list_reactions('00000000-0000-7000-a000-000000000002') $$
    ),
    caller.sqlstate,
    NULL,
    format('list_reactions: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider'),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000e', 'RO201',
        'somebody added after the message'
    )
) AS caller (role, id, sqlstate, name);
SELECT is_empty('SELECT * FROM roost.message_reactions', 'and there is no reaction');
SELECT is(
    (SELECT sum(last_seq) FROM roost.conversations), 4::numeric, 'nor was an offset used up'
);

-- What it does
SELECT is(
    as_caller('roost_user', given.user_id::uuid, format(
        'SELECT row_to_json(made)::jsonb - ''reactions'' FROM api.add_reaction(%L, %L) AS made',
        '00000000-0000-7000-a000-000000000001', given.reaction
    ))::jsonb,
    jsonb_build_object(
        'message_id', '00000000-0000-7000-a000-000000000001',
        'conversation_id', '00000000-0000-7000-9000-000000000001',
        'seq', 1,
        'user_id', given.user_id,
        'reaction', given.reaction,
        'added', true
    ),
    given.name || ' reacts with ' || given.reaction
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000f', '🚢', 'an admin'),
    ('00000000-0000-7000-8000-00000000000b', '👍', 'a member'),
    ('00000000-0000-7000-8000-00000000000a', '👍', 'the owner'),
    ('00000000-0000-7000-8000-00000000000b', '👩‍💻', 'a member, several code points long,'),
    ('00000000-0000-7000-8000-00000000000b', '🏳️‍🌈', 'a member, with a variation selector,')
) AS given (user_id, reaction, name);
SELECT is(
    (SELECT reactions FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000001'),
    '[
        {"reaction": "🚢", "count": 1, "user_ids": ["00000000-0000-7000-8000-00000000000f"]},
        {"reaction": "👍", "count": 2, "user_ids": [
            "00000000-0000-7000-8000-00000000000b", "00000000-0000-7000-8000-00000000000a"
        ]},
        {"reaction": "👩‍💻", "count": 1, "user_ids": ["00000000-0000-7000-8000-00000000000b"]},
        {"reaction": "🏳️‍🌈", "count": 1, "user_ids": ["00000000-0000-7000-8000-00000000000b"]}
    ]'::jsonb,
    'the message has them in the order of their first use, and who came first'
);
SELECT results_eq(
    $$
        SELECT event_offset, event, about_offset, actor_id, payload ->> 'reaction'
        FROM realtime.events
        WHERE topic = 'conversation:00000000-0000-7000-9000-000000000001'
        ORDER BY event_offset
        LIMIT 2
    $$,
    $$ VALUES
        (
            4::bigint, 'reaction', 1::bigint, '00000000-0000-7000-8000-00000000000f'::uuid, '🚢'
        ),
        (
            5::bigint, 'reaction', 1::bigint, '00000000-0000-7000-8000-00000000000b'::uuid, '👍'
        )
    $$,
    'each was told, as what is about the message'
);
SELECT is(
    (
        SELECT event.payload::jsonb -> 'reactions'
        FROM realtime.events AS event
        WHERE event.topic = 'conversation:00000000-0000-7000-9000-000000000001'
        ORDER BY event.event_offset DESC
        LIMIT 1
    ),
    (SELECT reactions FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000001'),
    'with the summary'
);
SELECT results_eq(
    $$
        SELECT version, updated_at = created_at, edited_at, change_seq
        FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000001'
    $$,
    $$ VALUES (1::bigint, true, NULL::timestamptz, 8::bigint) $$,
    'the message is no new version for that, but knows the offset of the event'
);

-- Again
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT jsonb_array_length(
                (api.add_reaction('00000000-0000-7000-a000-000000000001', '👍')).reactions
            )
        $$
    ),
    '4',
    'the same reaction again answers the same'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT (api.remove_reaction('00000000-0000-7000-a000-000000000001', '🚢')).added $$
    ),
    'false',
    'nobody takes back what is somebody else''s: there is none of theirs'
);
SELECT is(
    (SELECT last_seq FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000001'),
    8::bigint,
    'neither is told'
);
SELECT is(
    (SELECT count(*) FROM roost.message_reactions), 5::bigint, 'and neither changes anything'
);

-- Taking back
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT (made.added, made.reactions -> 1 -> 'user_ids')::text
            FROM api.remove_reaction('00000000-0000-7000-a000-000000000001', '👍') AS made
        $$
    ),
    '(f,"[""00000000-0000-7000-8000-00000000000a""]")',
    'a reaction is taken back'
);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000f',
        $$ SELECT api.remove_reaction('00000000-0000-7000-a000-000000000001', '🚢') $$
    ),
    'and another, of which it was the only one'
);
SELECT is(
    (
        SELECT string_agg(summary.entry ->> 'reaction', ' ')
        FROM roost.messages AS message
        CROSS JOIN jsonb_array_elements(message.reactions) AS summary (entry)
        WHERE message.id = '00000000-0000-7000-a000-000000000001'
    ),
    '👍 👩‍💻 🏳️‍🌈',
    'which leaves the others in order'
);
SELECT results_eq(
    $$
        SELECT payload ->> 'added', payload ->> 'reaction'
        FROM realtime.events
        WHERE topic = 'conversation:00000000-0000-7000-9000-000000000001'
        ORDER BY event_offset DESC
        LIMIT 1
    $$,
    $$ VALUES ('false', '🚢') $$,
    'and is told'
);

-- list_reactions
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        format(
            'SELECT string_agg(right(user_id::text, 1) || reaction, '' '') FROM'
            ' api.list_reactions(''00000000-0000-7000-a000-000000000001''%s)',
            page.arguments
        )
    ),
    page.answer,
    'a viewer reads' || page.arguments
)
FROM (
    VALUES
    (', ''👍''', 'a👍'),
    (', page_size => 1', 'a👍'),
    (
        ', after_user_id => ''00000000-0000-7000-8000-00000000000a'', after_reaction => ''👍'','
        ' page_size => 1',
        'b🏳️‍🌈'
    ),
    (
        ', after_user_id => ''00000000-0000-7000-8000-00000000000b'', after_reaction => ''🏳️‍🌈''',
        'b👩‍💻'
    ),
    (', ''🚢''', NULL)
) AS page (arguments, answer);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        format(
            'SELECT api.list_reactions(''00000000-0000-7000-a000-000000000001'', %s)', bad.arguments
        )
    ),
    'RO302',
    NULL,
    'refused: ' || bad.arguments
)
FROM (
    VALUES
    ('page_size => 0'),
    ('after_user_id => gen_random_uuid()'),
    ('after_reaction => ''+1''')
) AS bad (arguments);

-- What does not fit
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format(
            'SELECT api.add_reaction(''00000000-0000-7000-a000-000000000002'', %s)', bad.reaction
        )
    ),
    bad.sqlstate,
    NULL,
    'refused: ' || bad.reaction
)
FROM (
    VALUES
    ('''''', '23514'),
    ('''a b''', '23514'),
    ('E''a\nb''', '23514'),
    ('repeat(''a'', 33)', '23514'),
    ('NULL', '23502')
) AS bad (reaction, sqlstate);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT api.add_reaction('00000000-0000-7000-a000-000000000002', ':' || number || ':')
            FROM generate_series(1, 20) AS step (number)
        $$
    ),
    'one person has up to 20'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.add_reaction('00000000-0000-7000-a000-000000000002', ':21:') $$
    ),
    'RO302',
    NULL,
    'and no more'
);
SELECT make_user(
    ('00000000-0000-7000-8000-00000000010' || person.number)::uuid,
    person.number || '@example.com'
)
FROM generate_series(1, 4) AS person (number);
INSERT INTO roost.message_reactions (message_id, user_id, reaction)
SELECT
    '00000000-0000-7000-a000-000000000002',
    ('00000000-0000-7000-8000-00000000010' || person.number)::uuid,
    ':' || person.number * 20 + step.number || ':'
FROM generate_series(1, 4) AS person (number)
CROSS JOIN generate_series(1, 20) AS step (number);
SELECT is(
    (
        SELECT jsonb_array_length(reactions)
        FROM roost.messages
        WHERE id = '00000000-0000-7000-a000-000000000002'
    ),
    100,
    'a message has up to 100 different ones, whoever writes them'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT api.add_reaction('00000000-0000-7000-a000-000000000002', ':101:') $$
    ),
    'RO302',
    NULL,
    'and no more'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$
            SELECT jsonb_path_query_first(made.reactions, '$[*] ? (@.reaction == ":100:").count')
            FROM api.add_reaction('00000000-0000-7000-a000-000000000002', ':100:') AS made
        $$
    ),
    '2',
    'one of those that it has may be used again'
);

-- The summary, whoever writes
INSERT INTO roost.message_reactions (message_id, user_id, reaction, created_at)
SELECT
    '00000000-0000-7000-a000-000000000003',
    make_user(
        ('00000000-0000-7000-8000-0000000002' || lpad(person.number::text, 2, '0'))::uuid,
        'reader' || person.number || '@example.com'
    ),
    '+1',
    now() - person.number * interval '1 second'
FROM generate_series(1, 22) AS person (number);
SELECT results_eq(
    $$
        SELECT
            (reactions -> 0 ->> 'count')::integer,
            jsonb_array_length(reactions -> 0 -> 'user_ids'),
            reactions -> 0 -> 'user_ids' ->> 0
        FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000003'
    $$,
    $$ VALUES (22, 20, '00000000-0000-7000-8000-000000000222') $$,
    'it names the first 20 people by time, and counts all'
);
DELETE FROM roost.users
WHERE id BETWEEN '00000000-0000-7000-8000-000000000202' AND '00000000-0000-7000-8000-000000000222';
SELECT is(
    (SELECT reactions FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000003'),
    '[{"reaction": "+1", "count": 1, "user_ids": ["00000000-0000-7000-8000-000000000201"]}]'::jsonb,
    'people whose accounts go are in it no longer'
);
UPDATE roost.message_reactions SET message_id = '00000000-0000-7000-a000-000000000001'
WHERE user_id = '00000000-0000-7000-8000-000000000201';
SELECT results_eq(
    $$
        SELECT jsonb_array_length(reactions)
        FROM roost.messages
        WHERE id IN (
            '00000000-0000-7000-a000-000000000001', '00000000-0000-7000-a000-000000000003'
        )
        ORDER BY id
    $$,
    $$ VALUES (4), (0) $$,
    'nor are reactions that an operator moves elsewhere'
);

-- A deleted message
UPDATE roost.messages SET deleted_at = now() WHERE id = '00000000-0000-7000-a000-000000000001';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.%s(''00000000-0000-7000-a000-000000000001'', ''👍'')', made.name)
    ),
    'RO304',
    NULL,
    format('%s: not on a deleted message', made.name)
)
FROM (VALUES ('add_reaction'), ('remove_reaction')) AS made (name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT count(*) FROM api.list_reactions('00000000-0000-7000-a000-000000000001') $$
    ),
    '0',
    'and what it had is hidden'
);
DELETE FROM roost.message_reactions
WHERE message_id = '00000000-0000-7000-a000-000000000001' AND reaction = '+1';
SELECT is(
    (SELECT reactions FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000001'),
    '[]'::jsonb,
    'nor does it come back in its summary'
);
SELECT is(
    (
        SELECT count(*)
        FROM roost.message_reactions
        WHERE message_id = '00000000-0000-7000-a000-000000000001'
    ),
    3::bigint,
    'but is kept'
);

-- The second wall
SELECT set_config('roost.user_id', '00000000-0000-7000-8000-00000000000b', true);
SELECT throws_ok(
    format(
        $$
            SELECT as_caller('roost_api', %L, $q$
                INSERT INTO roost.message_reactions (message_id, user_id, reaction)
                VALUES (%L, %L, '+1') RETURNING reaction
            $q$)
        $$,
        wrong.caller, wrong.message, wrong.user_id
    ),
    '42501',
    NULL,
    'the policy refuses ' || wrong.name
)
FROM (
    VALUES
    (
        '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-a000-000000000003',
        '00000000-0000-7000-8000-00000000000a', 'a reaction in somebody else''s name'
    ),
    (
        '00000000-0000-7000-8000-00000000000d', '00000000-0000-7000-a000-000000000003',
        '00000000-0000-7000-8000-00000000000d', 'a viewer''s'
    ),
    (
        '00000000-0000-7000-8000-00000000000c', '00000000-0000-7000-a000-000000000003',
        '00000000-0000-7000-8000-00000000000c', 'an outsider''s'
    ),
    (
        '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-a000-000000000001',
        '00000000-0000-7000-8000-00000000000a', 'one to a deleted message'
    )
) AS wrong (caller, message, user_id, name);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        'DELETE FROM roost.message_reactions'
    ),
    1::bigint,
    'and lets people delete their own alone, and not of a deleted message'
);
INSERT INTO roost.message_reactions (message_id, user_id, reaction)
SELECT '00000000-0000-7000-a000-000000000003', account.id, 'mine'
FROM roost.users AS account
WHERE account.id IN (
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000c',
    '00000000-0000-7000-8000-00000000000d'
);
SELECT is(
    rows_changed(
        'roost_api', ('00000000-0000-7000-8000-00000000000' || kept.letter)::uuid,
        'DELETE FROM roost.message_reactions'
    ),
    0::bigint,
    format('nor %s theirs', kept.name)
)
FROM (VALUES ('c', 'an outsider'), ('d', 'a viewer')) AS kept (letter, name);
UPDATE roost.conversations SET archived_at = now();
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        'DELETE FROM roost.message_reactions'
    ),
    0::bigint,
    'nor anybody in an archive'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        $$
            INSERT INTO roost.message_reactions (message_id, user_id, reaction)
            VALUES (
                '00000000-0000-7000-a000-000000000003', '00000000-0000-7000-8000-00000000000a', 'x'
            )
        $$
    ),
    '42501',
    NULL,
    'where nobody reacts either'
);

SELECT * FROM finish();

ROLLBACK;

-- Conversations: opening, listing, adding people; each kind of caller, each refusal.
BEGIN;

SELECT plan(98);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'fourth@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000e', 'closed@example.com');
UPDATE roost.users SET status = 'closed' WHERE email::text = 'closed@example.com';
CREATE TEMPORARY TABLE known (name text PRIMARY KEY, id uuid);
GRANT SELECT ON known TO roost_user, roost_api;

-- create_conversation: who may
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT api.create_conversation()'),
    '42501',
    NULL,
    caller.role || ' may not open a conversation'
)
FROM (VALUES ('roost_anon'), ('roost_service'), ('roost_gateway')) AS caller (role);
SELECT throws_ok(
    calling('roost_user', NULL, 'SELECT api.create_conversation()'),
    'RO101',
    NULL,
    'the role alone is nobody'
);
SELECT is((SELECT count(*) FROM roost.conversations), 0::bigint, 'and nothing was opened');

-- create_conversation: what it does
INSERT INTO known
SELECT
    'plans',
    as_caller(
        'roost_user',
        '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.create_conversation(
            title => 'Plans',
            participants => ARRAY[
                '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-00000000000b',
                '00000000-0000-7000-8000-00000000000a'
            ]::uuid[],
            workspace_path => '/src',
            metadata => '{"colour": "green"}'
        )).id $$
    )::uuid;
SELECT results_eq(
    $$
        SELECT user_id, title, workspace_path, metadata::jsonb, last_seq FROM roost.conversations
    $$,
    $$ VALUES (
        '00000000-0000-7000-8000-00000000000a'::uuid, 'Plans', '/src',
        '{"colour": "green"}'::jsonb, 0::bigint
    ) $$,
    'a conversation is opened as asked'
);
SELECT results_eq(
    'SELECT user_id, role FROM roost.conversation_participants ORDER BY user_id',
    $$ VALUES
        ('00000000-0000-7000-8000-00000000000a'::uuid, 'owner'::roost.participant_role),
        ('00000000-0000-7000-8000-00000000000b'::uuid, 'member'::roost.participant_role) $$,
    'its opener owns it, the other takes part once'
);
SELECT results_eq(
    'SELECT topic, event_offset, event, payload ->> ''title'' FROM realtime.events ORDER BY topic',
    $$ VALUES
        ('user:00000000-0000-7000-8000-00000000000a', 1::bigint, 'conversation.added', 'Plans'),
        ('user:00000000-0000-7000-8000-00000000000b', 1::bigint, 'conversation.added', 'Plans') $$,
    'both inboxes learn of it'
);

-- create_conversation: bad input
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.create_conversation(%s)', bad.arguments)
    ),
    bad.sqlstate,
    NULL,
    'refused: ' || left(bad.arguments, 60)
)
FROM (
    VALUES
    ('participants => ''{00000000-0000-7000-8000-0000000000ff}''', 'RO201'),
    ('participants => ''{00000000-0000-7000-8000-00000000000e}''', 'RO201'),
    ('participants => ''{NULL}''', 'RO201'),
    ('participants => array_fill(gen_random_uuid(), ARRAY[101])', 'RO302'),
    ('title => repeat(''x'', 201)', '23514'),
    ('title => NULL', '23502'),
    ('workspace_path => repeat(''x'', 4097)', '23514'),
    ('metadata => ''[]''', '23514'),
    ('metadata => NULL', '23502'),
    ('metadata => jsonb_build_object(''x'', repeat(''x'', 65536))', '23514'),
    ('metadata => ''{"x": 1e131071}''', '23514')
) AS bad (arguments, sqlstate);
SELECT is((SELECT count(*) FROM roost.conversations), 1::bigint, 'nothing more was opened');
SELECT is((SELECT count(*) FROM realtime.events), 2::bigint, 'and nobody was told anything');

-- list_conversations
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT api.list_conversations()'),
    caller.sqlstate,
    NULL,
    caller.role || ' without a person may not list conversations'
)
FROM (
    VALUES ('roost_anon', '42501'), ('roost_service', '42501'), ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT is(
    as_caller(
        'roost_user',
        caller.id,
        'SELECT string_agg(title || '' '' || role, '','') FROM api.list_conversations()'
    ),
    caller.answer,
    caller.name || ' sees their own conversations only'
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000a'::uuid, 'the owner', 'Plans owner'),
    ('00000000-0000-7000-8000-00000000000b'::uuid, 'the member', 'Plans member'),
    ('00000000-0000-7000-8000-00000000000c'::uuid, 'an outsider', NULL)
) AS caller (id, name, answer);
INSERT INTO roost.conversations (id, user_id, title, last_activity)
SELECT
    ('00000000-0000-7000-9000-00000000000' || step.number)::uuid,
    '00000000-0000-7000-8000-00000000000d',
    'c' || step.number,
    -- 2 and 3 at the same moment: the id decides.
    timestamptz '2026-01-01 00:00:00+00' + interval '1 hour' * ceil(step.number / 2.0)
FROM generate_series(1, 5) AS step (number);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT conversation.id, conversation.user_id, 'owner'
FROM roost.conversations AS conversation
WHERE conversation.user_id = '00000000-0000-7000-8000-00000000000d';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        'SELECT string_agg(title, '','') FROM api.list_conversations(page_size => 2)'
    ),
    'c5,c4',
    'the last active comes first'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT string_agg(title, ',') FROM api.list_conversations(
            before_activity => '2026-01-01 02:00:00+00',
            before_id => '00000000-0000-7000-9000-000000000004'
        ) $$
    ),
    'c3,c2,c1',
    'the next page goes on where the last one ended'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.list_conversations(%s)', bad.arguments)
    ),
    'RO302',
    NULL,
    'refused: ' || bad.arguments
)
FROM (
    VALUES ('page_size => 0'), ('page_size => 201'), ('before_activity => now()'),
    ('before_id => gen_random_uuid()')
) AS bad (arguments);

-- add_participant: who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.add_participant(
            (SELECT id FROM known), '00000000-0000-7000-8000-00000000000c') $$
    ),
    caller.sqlstate,
    NULL,
    caller.name || ' may not add people'
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider'),
    ('roost_user', '00000000-0000-7000-8000-00000000000b', 'RO202', 'a member')
) AS caller (role, id, sqlstate, name);
SELECT is(
    (
        SELECT count(*) FROM roost.conversation_participants
        WHERE conversation_id = (SELECT id FROM known)
    ),
    2::bigint,
    'and nobody was added'
);

-- add_participant: what it does
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.add_participant(
            (SELECT id FROM known), '00000000-0000-7000-8000-00000000000c', 'admin')).role $$
    ),
    'admin',
    'the owner adds an admin'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000c',
        $$ SELECT (api.add_participant(
            (SELECT id FROM known), '00000000-0000-7000-8000-00000000000d', 'viewer')).role $$
    ),
    'viewer',
    'an admin adds a viewer'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000c',
        $$ SELECT (api.add_participant(
            (SELECT id FROM known), '00000000-0000-7000-8000-00000000000d', 'viewer')).role $$
    ),
    'viewer',
    'adding them again answers the same'
);
SELECT results_eq(
    $$
        SELECT event_offset, event, payload ->> 'role' FROM realtime.events
        WHERE topic = 'conversation:' || (SELECT id FROM known) ORDER BY event_offset
    $$,
    $$ VALUES (1::bigint, 'participant.added', 'admin'), (2, 'participant.added', 'viewer') $$,
    'and the conversation learns of each person once'
);
SELECT throws_ok(
    calling(
        'roost_user', bad.caller::uuid,
        format(
            'SELECT api.add_participant((SELECT id FROM known), %L, %L)', bad.person, bad.role
        )
    ),
    bad.sqlstate,
    NULL,
    'refused: ' || bad.reason
)
FROM (
    VALUES
    (
        '00000000-0000-7000-8000-00000000000c', '00000000-0000-7000-8000-00000000000b', 'admin',
        'RO202', 'an admin made by an admin'
    ),
    (
        '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b', 'owner',
        'RO202', 'a second owner'
    ),
    (
        '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000d', 'member',
        'RO301', 'another role for who takes part'
    ),
    (
        '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000ff', 'member',
        'RO201', 'a person who does not exist'
    )
) AS bad (caller, person, role, sqlstate, reason);
UPDATE roost.conversation_participants SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        'SELECT count(*) FROM api.list_conversations()'
    ),
    '0',
    'who left sees it no more'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.add_participant(
            (SELECT id FROM known), '00000000-0000-7000-8000-00000000000b', 'viewer')).role $$
    ),
    'viewer',
    'and can be added again'
);

-- updated_at: for what people change, not for every message
UPDATE roost.conversations SET updated_at = '2026-01-01', last_seq = last_seq + 1;
SELECT is_empty(
    $$ SELECT FROM roost.conversations WHERE updated_at <> '2026-01-01' $$,
    'a message does not count as a change of the conversation'
);
UPDATE roost.conversations SET title = title || '!';
SELECT is_empty(
    'SELECT FROM roost.conversations WHERE updated_at <> now()',
    'a new title does'
);

-- The second wall within a conversation: what the policies let roost_api do, whatever a function
-- forgot
SELECT make_user(
    ('00000000-0000-7000-8000-0000000000f' || person.number)::uuid, person.email
)
FROM (
    VALUES
    (1, 'owner@example.com'), (2, 'admin@example.com'), (3, 'former-admin@example.com'),
    (4, 'member@example.com'), (5, 'viewer@example.com'), (6, 'other@example.com'),
    (7, 'new@example.com')
) AS person (number, email);
INSERT INTO roost.conversations (id, user_id)
VALUES
('00000000-0000-7000-9000-0000000000f1', '00000000-0000-7000-8000-0000000000f1');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, left_at)
SELECT
    '00000000-0000-7000-9000-0000000000f1',
    ('00000000-0000-7000-8000-0000000000f' || person.number)::uuid,
    person.role::roost.participant_role,
    person.left_at
FROM (
    VALUES
    (1, 'owner', NULL), (2, 'admin', NULL), (3, 'admin', now()), (4, 'member', NULL),
    (5, 'viewer', NULL)
) AS person (number, role, left_at);
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
VALUES (
    '00000000-0000-7000-9000-0000000000f1', 1, '00000000-0000-7000-8000-0000000000f1', '{}'
);

-- Changes that are left out, and such that are refused
SELECT is(
    rows_changed(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || change.caller)::uuid,
        format(
            $$
                UPDATE roost.conversation_participants SET %s
                WHERE user_id = '00000000-0000-7000-8000-0000000000f%s'
            $$,
            change.assignment, change.person
        )
    ),
    change.rows,
    format('%s: %s changes, by policy', change.what, change.rows)
)
FROM (
    VALUES
    (2, 2, 'role = ''owner''', 0::bigint, 'an admin who makes themself owner'),
    (2, 2, 'left_at = now()', 0, 'an admin''s own row'),
    (2, 1, 'left_at = now()', 0, 'an admin who puts the owner out'),
    (2, 1, 'role = ''viewer''', 0, 'an admin who degrades the owner'),
    (1, 1, 'role = ''viewer''', 0, 'an owner''s own row'),
    (4, 5, 'left_at = now()', 0, 'a member who puts a viewer out'),
    (4, 4, 'role = ''admin''', 0, 'a member who makes themself admin'),
    (5, 4, 'left_at = now()', 0, 'a viewer who puts a member out'),
    (6, 5, 'left_at = now()', 0, 'an outsider who puts a viewer out'),
    (3, 3, 'left_at = NULL', 0, 'somebody who left and comes back'),
    (2, 4, 'role = ''viewer''', 1, 'an admin who degrades a member'),
    (2, 4, 'role = ''member''', 1, 'an admin who makes a member'),
    (2, 3, 'role = ''member'', left_at = NULL', 1, 'an admin who brings a former one back, lower'),
    (1, 2, 'role = ''member''', 1, 'an owner who degrades an admin'),
    (1, 2, 'role = ''admin''', 1, 'an owner who makes an admin')
) AS change (caller, person, assignment, rows, what);
SELECT throws_ok(
    calling(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || change.caller)::uuid,
        format(
            $$
                UPDATE roost.conversation_participants SET role = %L
                WHERE user_id = '00000000-0000-7000-8000-0000000000f%s'
            $$,
            change.role, change.person
        )
    ),
    '42501',
    NULL,
    'refused by policy: ' || change.what
)
FROM (
    VALUES
    (2, 4, 'admin', 'an admin who makes an admin'),
    (2, 5, 'owner', 'an admin who makes an owner'),
    (1, 2, 'owner', 'an owner who makes a second one')
) AS change (caller, person, role, what);

-- Somebody new
SELECT throws_ok(
    calling(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || added.caller)::uuid,
        format(
            $$
                INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
                VALUES (
                    '00000000-0000-7000-9000-0000000000f1',
                    '00000000-0000-7000-8000-0000000000f%s', %L
                )
            $$,
            added.person, added.role
        )
    ),
    '42501',
    NULL,
    'refused by policy: ' || added.what
)
FROM (
    VALUES
    (2, 7, 'admin', 'an admin who adds an admin'),
    (1, 7, 'owner', 'an owner who adds a second one'),
    (4, 7, 'viewer', 'a member who adds a viewer'),
    (5, 7, 'viewer', 'a viewer who adds a viewer'),
    (6, 6, 'viewer', 'an outsider who adds themself'),
    (6, 6, 'owner', 'an outsider who owns it')
) AS added (caller, person, role, what);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-0000000000f2',
        $$
            INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
            VALUES (
                '00000000-0000-7000-9000-0000000000f1', '00000000-0000-7000-8000-0000000000f7',
                'member'
            )
        $$
    ),
    1::bigint,
    'an admin adds a member'
);

-- Messages and numbers: for members
SELECT is(
    rows_changed(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || caller.number)::uuid,
        'UPDATE roost.conversations SET last_seq = last_seq + 1'
    ),
    caller.rows,
    caller.name || ' takes a number, by policy: ' || caller.rows
)
FROM (
    VALUES
    (1, 'the owner', 1::bigint), (4, 'a member', 1), (5, 'a viewer', 0), (6, 'an outsider', 0)
) AS caller (number, name, rows);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-0000000000f5',
        $$
            INSERT INTO roost.messages (conversation_id, seq, user_id, content)
            VALUES (
                '00000000-0000-7000-9000-0000000000f1', 99,
                '00000000-0000-7000-8000-0000000000f5', '{}'
            )
        $$
    ),
    '42501',
    NULL,
    'a viewer writes no message, by policy'
);

-- Whoever has left
UPDATE roost.conversation_participants SET role = 'admin', left_at = now()
WHERE user_id = '00000000-0000-7000-8000-0000000000f4';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-0000000000f2',
        $$ SELECT (api.add_participant(
            '00000000-0000-7000-9000-0000000000f1', '00000000-0000-7000-8000-0000000000f4', 'viewer'
        )).role $$
    ),
    'viewer',
    'an admin adds somebody who was an admin, in a role below their own'
);
UPDATE roost.conversation_participants SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-0000000000f1';
SELECT is(
    as_caller(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || relation.caller)::uuid,
        'SELECT count(*) FROM roost.' || relation.name
    ),
    relation.rows,
    format('%s, by policy: %s rows of %s', relation.who, relation.rows, relation.name)
)
FROM (
    VALUES
    (5, 'a viewer', 'conversations', '1'),
    (5, 'a viewer', 'messages', '1'),
    (5, 'a viewer', 'conversation_participants', '6'),
    (1, 'an opener who has left', 'conversations', '0'),
    (1, 'an opener who has left', 'messages', '0'),
    -- Their own row is theirs to see.
    (1, 'an opener who has left', 'conversation_participants', '1')
) AS relation (caller, who, name, rows);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-0000000000f1',
        format(
            $$
                INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
                VALUES (
                    '00000000-0000-7000-9000-0000000000f1',
                    '00000000-0000-7000-8000-0000000000f%s', %L
                )
            $$,
            added.person, added.role
        )
    ),
    '42501',
    NULL,
    format('and may not add %s as %s', added.person, added.role)
)
FROM (VALUES (1, 'owner'), (6, 'owner'), (6, 'viewer')) AS added (person, role);

-- Whoever opens one now
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-0000000000f6',
        $$
            INSERT INTO roost.conversations (id, user_id)
            VALUES (
                '00000000-0000-7000-9000-0000000000f2', '00000000-0000-7000-8000-0000000000f6'
            )
        $$
    ),
    1::bigint,
    'a conversation without anybody in it, by policy'
);
SELECT throws_ok(
    calling(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || added.caller)::uuid,
        format(
            $$
                INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
                VALUES (
                    '00000000-0000-7000-9000-0000000000f2',
                    '00000000-0000-7000-8000-0000000000f%s', %L
                )
            $$,
            added.person, added.role
        )
    ),
    '42501',
    NULL,
    'refused by policy: ' || added.what
)
FROM (
    VALUES
    (6, 5, 'owner', 'to make somebody else its owner'),
    (6, 6, 'member', 'to be less than its owner'),
    (6, 5, 'member', 'to put somebody else in first'),
    (5, 5, 'owner', 'to own what somebody else opened')
) AS added (caller, person, role, what);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-0000000000f6',
        format(
            $$
                INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
                VALUES (
                    '00000000-0000-7000-9000-0000000000f2',
                    '00000000-0000-7000-8000-0000000000f%s', %L
                )
            $$,
            added.person, added.role
        )
    ),
    1::bigint,
    format('then %s becomes its %s', added.person, added.role)
)
FROM (VALUES (6, 'owner'), (5, 'admin')) AS added (person, role);

SELECT * FROM finish();

ROLLBACK;

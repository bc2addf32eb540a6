-- Conversations: their life, who takes part, and what each role may; each kind of caller, each
-- refusal.
BEGIN;

SELECT plan(548);

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
    $$
        SELECT topic, event_offset, event, payload ->> 'title' FROM realtime.events
        WHERE event <> 'account.updated'
        ORDER BY topic
    $$,
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
SELECT is(
    (SELECT count(*) FROM realtime.events WHERE event <> 'account.updated'), 2::bigint,
    'and nobody was told anything'
);

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
    ('before_id => gen_random_uuid()'), ('state => NULL')
) AS bad (arguments);

SELECT make_user('00000000-0000-7000-8000-0000000000c0', 'busy@example.com');
INSERT INTO roost.conversations (id, user_id, last_activity)
SELECT
    ('00000000-0000-7000-9000-0000000000' || step.number)::uuid,
    '00000000-0000-7000-8000-0000000000c0',
    timestamptz '2026-01-01 00:00:00+00' + interval '1 hour' * step.number
FROM generate_series(10, 29) AS step (number);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT conversation.id, conversation.user_id, 'owner'
FROM roost.conversations AS conversation
WHERE conversation.user_id = '00000000-0000-7000-8000-0000000000c0';
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT
    conversation.id, 1, conversation.user_id, jsonb_build_object('text', repeat('x', 250000))
FROM roost.conversations AS conversation
WHERE conversation.user_id = '00000000-0000-7000-8000-0000000000c0';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-0000000000c0',
        format(
            $$
                SELECT concat_ws(' ', count(*), right(min(id::text), 2), right(max(id::text), 2))
                FROM api.list_conversations(%s)
            $$,
            page.arguments
        )
    ),
    page.answer,
    'a page ends early once it has 4 MiB: ' || page.answer
)
FROM (
    VALUES
    ('', '17 13 29'),
    (
        'before_activity => ''2026-01-01 13:00:00+00'','
        ' before_id => ''00000000-0000-7000-9000-000000000013''',
        '3 10 12'
    )
) AS page (arguments, answer);
DELETE FROM roost.conversations WHERE user_id = '00000000-0000-7000-8000-0000000000c0';
SELECT is(
    (
        roost.describe_conversation(
            jsonb_populate_record(
                NULL::roost.conversations,
                jsonb_build_object(
                    'last_number', counted.last_number, 'expired_number', counted.expired_number
                )
            ),
            jsonb_populate_record(
                NULL::roost.conversation_participants,
                jsonb_build_object('read_number', counted.read_number)
            ),
            NULL
        )
    ).unread_count,
    counted.unread,
    format(
        'of %s messages, of which %s expired, %s are unread after the %sth',
        counted.last_number, counted.expired_number, counted.unread, counted.read_number
    )
)
FROM (
    VALUES
    (9, 0, 0, 9::bigint), (9, 0, 4, 5), (9, 5, 4, 4), (9, 5, 7, 2), (9, 9, 4, 0), (0, 0, 0, 0)
) AS counted (last_number, expired_number, read_number, unread);

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
INSERT INTO roost.conversations (id, user_id, last_seq, last_number)
VALUES
('00000000-0000-7000-9000-0000000000f1', '00000000-0000-7000-8000-0000000000f1', 5, 5);
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
    '00000000-0000-7000-9000-0000000000f1', 1, '00000000-0000-7000-8000-0000000000f1',
    '{"text": "hello"}'
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
    (2, 1, 'left_at = now()', 0::bigint, 'an admin who puts the owner out'),
    (2, 1, 'role = ''viewer''', 0, 'an admin who degrades the owner'),
    (2, 1, 'last_read_seq = 9, last_delivered_seq = 9', 0, 'an admin who reads for the owner'),
    (4, 5, 'left_at = now()', 0, 'a member who puts a viewer out'),
    (5, 4, 'left_at = now()', 0, 'a viewer who puts a member out'),
    (6, 5, 'left_at = now()', 0, 'an outsider who puts a viewer out'),
    (2, 4, 'role = ''viewer''', 1, 'an admin who degrades a member'),
    (2, 4, 'role = ''member''', 1, 'an admin who makes a member'),
    (2, 3, 'role = ''member'', left_at = NULL', 1, 'an admin who brings a former one back, lower'),
    (1, 2, 'role = ''member''', 1, 'an owner who degrades an admin'),
    (1, 2, 'role = ''admin''', 1, 'an owner who makes an admin'),
    (5, 5, 'last_read_seq = 1, last_delivered_seq = 1, read_number = 1', 1, 'a viewer who reads'),
    (5, 5, 'last_read_seq = 0, last_delivered_seq = 0, read_number = 0', 1, 'and tries to unread')
) AS change (caller, person, assignment, rows, what);
SELECT results_eq(
    $$
        SELECT last_read_seq, last_delivered_seq, read_number FROM roost.conversation_participants
        WHERE user_id = '00000000-0000-7000-8000-0000000000f5'
    $$,
    'VALUES (1::bigint, 1::bigint, 1::bigint)',
    'but markers move forward only'
);
UPDATE roost.conversation_participants SET role = 'admin', left_at = now()
WHERE user_id = '00000000-0000-7000-8000-0000000000f3';
SELECT throws_ok(
    calling(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || change.caller)::uuid,
        format(
            $$
                UPDATE roost.conversation_participants SET %s
                WHERE user_id = '00000000-0000-7000-8000-0000000000f%s'
            $$,
            change.assignment, change.person
        )
    ),
    '42501',
    NULL,
    'refused by policy or trigger: ' || change.what
)
FROM (
    VALUES
    (2, 4, 'role = ''admin''', 'an admin who makes an admin'),
    (2, 5, 'role = ''owner''', 'an admin who makes an owner'),
    (2, 2, 'role = ''owner''', 'an admin who makes themself owner'),
    (2, 2, 'role = ''member''', 'an admin who makes themself less'),
    (4, 4, 'role = ''admin''', 'a member who makes themself admin'),
    (4, 4, 'role = ''viewer''', 'a member who makes themself less'),
    (3, 3, 'left_at = NULL', 'somebody who left and comes back'),
    (3, 3, 'left_at = NULL, role = ''viewer''', 'somebody who left and comes back, lower'),
    (3, 3, 'role = ''viewer''', 'somebody who left and changes themself'),
    (2, 4, 'left_at = NULL, history_after_seq = 1', 'an admin who takes history away'),
    (4, 4, 'history_after_seq = 1', 'a member who changes what they see'),
    (1, 1, 'history_after_seq = 1', 'an owner who changes what they see'),
    (4, 4, 'joined_at = now() - interval ''1 day''', 'a member who came earlier'),
    (2, 4, 'last_read_seq = 1, last_delivered_seq = 1', 'an admin who reads for a member'),
    (2, 4, 'read_number = 1, role = ''viewer''', 'an admin who reads for a member aside'),
    (2, 3, 'last_delivered_seq = 1', 'an admin who receives for somebody who left'),
    (2, 3, 'role = ''viewer''', 'an admin who changes somebody who left'),
    (1, 2, 'user_id = ''00000000-0000-7000-8000-0000000000f7''', 'an owner who swaps people'),
    (1, 2, 'suspended = true', 'an owner who suspends an admin')
) AS change (caller, person, assignment, what);
SELECT throws_ok(
    calling(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || change.caller)::uuid,
        'UPDATE roost.conversations SET ' || change.assignment
    ),
    '42501',
    NULL,
    'refused by trigger or right: ' || change.what
)
FROM (
    VALUES
    (4, 'title = ''x''', 'a member who gives a title'),
    (4, 'workspace_path = ''x''', 'a member who gives a path'),
    (4, 'metadata = ''{"x": 1}''', 'a member who writes metadata'),
    (4, 'search_language = ''english''', 'a member who chooses the language'),
    (4, 'archived_at = now()', 'a member who archives it'),
    (2, 'retention_days = 1', 'an admin who lets messages expire'),
    (2, 'deleted_at = now()', 'an admin who deletes it'),
    (2, 'user_id = ''00000000-0000-7000-8000-0000000000f2''', 'an admin who takes it over'),
    (2, 'title = ''x'', retention_days = 1', 'an admin who may do one and not the other'),
    (1, 'purged_at = now(), deleted_at = now()', 'an owner who deletes it for good'),
    (1, 'expired_number = 0', 'an owner who lets messages expire'),
    (1, 'created_at = now()', 'an owner who changes the date')
) AS change (caller, assignment, what);
SELECT is(
    rows_changed(
        'roost_api', ('00000000-0000-7000-8000-0000000000f' || change.caller)::uuid,
        format('UPDATE roost.conversations SET %s WHERE title = ''''', change.assignment)
    ),
    change.rows,
    format('%s: %s changes, by policy', change.what, change.rows)
)
FROM (
    VALUES
    (5, 'archived_at = now()', 0::bigint, 'a viewer who archives it'),
    (6, 'archived_at = now()', 0, 'an outsider who archives it'),
    (3, 'archived_at = now()', 0, 'somebody who left and archives it'),
    (2, 'archived_at = now()', 1, 'an admin who archives it')
) AS change (caller, assignment, rows, what);
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-0000000000f1', command.sql),
    '42501',
    NULL,
    'refused by trigger while it is archived: ' || command.sql
)
FROM (
    VALUES
    ('UPDATE roost.conversations SET title = ''x'', archived_at = NULL'),
    (
        'INSERT INTO roost.conversation_participants (conversation_id, user_id) VALUES'
        ' (''00000000-0000-7000-9000-0000000000f1'', ''00000000-0000-7000-8000-0000000000f7'')'
    )
) AS command (sql);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-0000000000f2',
        'UPDATE roost.conversations SET archived_at = NULL'
    ),
    1::bigint,
    'an admin who takes it out of the archive'
);

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
        'UPDATE roost.conversations SET last_seq = last_seq + 1, last_number = last_number + 1,'
        ' last_activity = now()'
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
                '00000000-0000-7000-8000-0000000000f5', '{"text": "hello"}'
            )
        $$
    ),
    '42501',
    NULL,
    'a viewer writes no message, by policy'
);

-- Whoever has left
UPDATE roost.conversation_participants SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-0000000000f7';
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
    (7, 'somebody who has left', 'conversations', '0'),
    (7, 'somebody who has left', 'messages', '0'),
    -- Their own row is theirs to see.
    (7, 'somebody who has left', 'conversation_participants', '1')
) AS relation (caller, who, name, rows);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-0000000000f7',
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
FROM (VALUES (7, 'owner'), (6, 'owner'), (6, 'viewer')) AS added (person, role);

-- Whoever sees a part of the history alone
UPDATE roost.conversation_participants SET history_after_seq = 3
WHERE user_id = '00000000-0000-7000-8000-0000000000f2';
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-0000000000f2', added.command),
    '42501',
    NULL,
    'refused by trigger: ' || added.what
)
FROM (
    VALUES
    (
        'INSERT INTO roost.conversation_participants (conversation_id, user_id, history_after_seq)'
        ' VALUES (''00000000-0000-7000-9000-0000000000f1'','
        ' ''00000000-0000-7000-8000-0000000000f6'', 2)',
        'to show somebody new what one does not see'
    ),
    (
        'UPDATE roost.conversation_participants SET left_at = NULL, role = ''member'''
        ' WHERE user_id = ''00000000-0000-7000-8000-0000000000f7''',
        'to show it to somebody who comes back'
    ),
    (
        'INSERT INTO roost.conversation_participants (conversation_id, user_id, history_after_seq,'
        ' last_delivered_seq) VALUES (''00000000-0000-7000-9000-0000000000f1'','
        ' ''00000000-0000-7000-8000-0000000000f6'', 3, 99)',
        'to begin beyond the newest event'
    )
) AS added (command, what);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-0000000000f2',
        format(
            $$
                SELECT (api.add_participant(
                    '00000000-0000-7000-9000-0000000000f1',
                    '00000000-0000-7000-8000-0000000000f%s', history => %L
                )).role
            $$,
            added.person, added.history
        )
    ),
    'member',
    format('%s is added with %s', added.person, added.history)
)
FROM (VALUES (7, 'all'), (6, 'all'), (3, 'from_now')) AS added (person, history);
SELECT results_eq(
    $$
        SELECT right(participant.user_id::text, 1), participant.history_after_seq
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = '00000000-0000-7000-9000-0000000000f1'
            AND participant.user_id::text ~ 'f[367]$'
        ORDER BY participant.user_id
    $$,
    $$
        SELECT added.person, added.history
        FROM (
            SELECT '3', event.event_offset - 1
            FROM realtime.events AS event
            WHERE event.topic = 'conversation:00000000-0000-7000-9000-0000000000f1'
                AND event.payload ->> 'user_id' = '00000000-0000-7000-8000-0000000000f3'
            UNION ALL
            VALUES ('6', 3::bigint), ('7', 3)
        ) AS added (person, history)
    $$,
    'all is what the admin sees who adds them, somebody who comes back included'
);
DELETE FROM roost.conversation_participants
WHERE user_id = '00000000-0000-7000-8000-0000000000f6';

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

-- The functions of a conversation's life, from here on in one of five people: an owner, an admin, a
-- member, a viewer, and somebody who has left.
UPDATE known SET id = '00000000-0000-7000-9000-0000000000e0';
SELECT make_user(
    ('00000000-0000-7000-8000-0000000000e' || person.number)::uuid, person.email
)
FROM (
    VALUES
    (1, 'e1@example.com'), (2, 'e2@example.com'), (3, 'e3@example.com'), (4, 'e4@example.com'),
    (5, 'e5@example.com'), (6, 'e6@example.com'), (7, 'e7@example.com')
) AS person (number, email);
INSERT INTO roost.conversations (id, user_id, title, last_seq, last_number)
VALUES
(
    '00000000-0000-7000-9000-0000000000e0', '00000000-0000-7000-8000-0000000000e1', 'Plans', 3, 3
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, left_at, read_number)
SELECT
    '00000000-0000-7000-9000-0000000000e0',
    ('00000000-0000-7000-8000-0000000000e' || person.number)::uuid,
    person.role::roost.participant_role,
    person.left_at,
    person.read_number
FROM (
    VALUES
    (1, 'owner', NULL, 0), (2, 'admin', NULL, 1), (3, 'member', NULL, 2), (4, 'viewer', NULL, 3),
    (5, 'admin', now(), 0)
) AS person (number, role, left_at, read_number);
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, content)
SELECT
    ('00000000-0000-7000-a000-0000000000e' || written.seq)::uuid,
    '00000000-0000-7000-9000-0000000000e0',
    written.seq,
    written.seq,
    ('00000000-0000-7000-8000-0000000000e' || written.person)::uuid,
    jsonb_build_object('text', 'number ' || written.seq)
FROM (VALUES (1, 1), (2, 7), (3, 1)) AS written (seq, person);
CREATE TEMPORARY TABLE lifecycle (name text PRIMARY KEY, call text);
INSERT INTO lifecycle
SELECT called.name, format('SELECT api.%s(%s)', called.name, concat_ws(', ', '%1$L', called.rest))
FROM (
    VALUES
    ('get_conversation', NULL),
    ('update_conversation', 'title => ''x'''),
    ('set_retention', '7'),
    ('archive_conversation', NULL),
    ('unarchive_conversation', NULL),
    ('delete_conversation', NULL),
    ('restore_conversation', NULL),
    ('purge_conversation', NULL),
    ('list_participants', NULL),
    ('add_participant', '''00000000-0000-7000-8000-0000000000e6'''),
    ('change_role', '''00000000-0000-7000-8000-0000000000e3'', ''viewer'''),
    ('remove_participant', '''00000000-0000-7000-8000-0000000000e3'''),
    ('leave_conversation', NULL),
    ('transfer_ownership', '''00000000-0000-7000-8000-0000000000e3'''),
    ('get_conversation_analytics', NULL)
) AS called (name, rest);
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (
            SELECT json_agg(conversation)
            FROM roost.conversations AS conversation
            WHERE id = '00000000-0000-7000-9000-0000000000e0'
        ),
        (
            SELECT json_agg(participant ORDER BY user_id)
            FROM roost.conversation_participants AS participant
            WHERE conversation_id = '00000000-0000-7000-9000-0000000000e0'
        ),
        (SELECT count(*) FROM realtime.events WHERE event <> 'account.updated')
    );
$$;
CREATE TEMPORARY TABLE before AS SELECT pg_temp.state() AS state;
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, format(lifecycle.call, caller.conversation_id)),
    caller.sqlstate,
    NULL,
    format('%s: %s to %s', lifecycle.name, caller.sqlstate, caller.name)
)
FROM lifecycle
CROSS JOIN (
    VALUES
    ('roost_anon', NULL, '00000000-0000-7000-9000-0000000000e0', '42501', 'a stranger'),
    ('roost_service', NULL, '00000000-0000-7000-9000-0000000000e0', '42501', 'a service'),
    ('roost_user', NULL, '00000000-0000-7000-9000-0000000000e0', 'RO101', 'nobody'),
    (
        'roost_user', '00000000-0000-7000-8000-0000000000e6',
        '00000000-0000-7000-9000-0000000000e0', 'RO201', 'an outsider'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-0000000000e5',
        '00000000-0000-7000-9000-0000000000e0', 'RO201', 'somebody who has left'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-0000000000e1',
        '00000000-0000-7000-9000-0000000000ff', 'RO201', 'anybody for no conversation'
    )
) AS caller (role, id, conversation_id, sqlstate, name)
ORDER BY lifecycle.name, caller.name;
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT api.get_my_analytics()'),
    caller.sqlstate,
    NULL,
    format('get_my_analytics: %s to %s', caller.sqlstate, caller.role)
)
FROM (
    VALUES ('roost_anon', '42501'), ('roost_service', '42501'), ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'and nothing has changed');

-- Every permission is enforced as the table says: nothing differs between the callers but their
-- role. What is done is undone.
CREATE FUNCTION pg_temp.outcome(p_query text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM as_caller('roost_user', '00000000-0000-7000-8000-0000000000e7', p_query);
    RAISE EXCEPTION USING ERRCODE = 'ZZ000';
EXCEPTION
    WHEN SQLSTATE 'ZZ000' THEN
        PERFORM set_config('role', 'none', true);
        RETURN 'done';
    WHEN raise_exception OR SQLSTATE 'RO202' OR SQLSTATE 'RO203' OR SQLSTATE 'RO204' THEN
        PERFORM set_config('role', 'none', true);
        RETURN SQLSTATE;
END;
$$;
CREATE FUNCTION pg_temp.outcome_as(p_role text, p_is_archived boolean, p_query text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_outcome text;
BEGIN
    UPDATE roost.conversation_participants SET role = p_role::roost.participant_role
    WHERE user_id = '00000000-0000-7000-8000-0000000000e7';
    UPDATE roost.conversations SET archived_at = CASE WHEN p_is_archived THEN now() END
    WHERE id = '00000000-0000-7000-9000-0000000000e0';
    v_outcome := pg_temp.outcome(p_query);
    UPDATE roost.conversations SET archived_at = NULL
    WHERE id = '00000000-0000-7000-9000-0000000000e0';
    RETURN v_outcome;
END;
$$;
INSERT INTO roost.conversation_participants (conversation_id, user_id)
VALUES ('00000000-0000-7000-9000-0000000000e0', '00000000-0000-7000-8000-0000000000e7');
CREATE TEMPORARY TABLE permission_case (permission text, arguments text);
INSERT INTO permission_case
VALUES
('conversation.read', 'get_conversation(%1$L)'),
('conversation.leave', 'leave_conversation(%1$L)'),
('conversation.update', 'update_conversation(%1$L, ''x'')'),
('conversation.archive', 'archive_conversation(%1$L)'),
('conversation.retain', 'set_retention(%1$L, 7)'),
('conversation.delete', 'delete_conversation(%1$L)'),
('conversation.transfer', 'transfer_ownership(%1$L, %2$L)'),
('participant.add', 'add_participant(%1$L, %3$L, ''viewer'')'),
('participant.remove', 'remove_participant(%1$L, %2$L)'),
('participant.change_role', 'change_role(%1$L, %2$L, ''viewer'')'),
('message.send', 'send_message(%1$L, ''{"text": "x"}'')'),
('message.send_system', 'send_message(%1$L, ''{"text": "x"}'', ''system'')'),
('message.react', 'add_reaction(%4$L, ''ok'')'),
('message.edit_own', 'edit_message(%5$L, ''{"text": "x"}'', 1)'),
('message.delete_own', 'delete_message(%5$L)'),
('message.delete_any', 'delete_message(%4$L)'),
('receipt.mark', 'mark_read(%1$L, 3)');
SELECT is(
    pg_temp.outcome_as(
        caller.role::text,
        archived.is_archived,
        (
            SELECT format(
                'SELECT api.' || permission_case.arguments,
                '00000000-0000-7000-9000-0000000000e0', '00000000-0000-7000-8000-0000000000e4',
                '00000000-0000-7000-8000-0000000000e6', '00000000-0000-7000-a000-0000000000e1',
                '00000000-0000-7000-a000-0000000000e2'
            )
            FROM permission_case
            WHERE permission_case.permission = allowed.permission
        )
    ),
    CASE
        WHEN caller.role < allowed.least_role THEN 'RO202'
        WHEN archived.is_archived AND NOT allowed.in_archive THEN 'RO203'
        WHEN allowed.permission = 'conversation.leave' AND caller.role = 'owner' THEN 'RO204'
        ELSE 'done'
    END,
    format(
        '%s to %s%s', allowed.permission, caller.role,
        CASE WHEN archived.is_archived THEN ' in the archive' END
    )
)
FROM roost.conversation_permissions AS allowed
CROSS JOIN unnest(enum_range(NULL::roost.participant_role)) AS caller (role)
CROSS JOIN (VALUES (false), (true)) AS archived (is_archived)
-- With one reason to refuse at a time.
WHERE caller.role >= allowed.least_role OR allowed.in_archive OR NOT archived.is_archived
ORDER BY allowed.permission, archived.is_archived, caller.role;
SELECT is_empty(
    $$
        SELECT permission FROM permission_case
        EXCEPT SELECT permission FROM roost.conversation_permissions
    $$,
    'and no case is of a permission that there is not'
);
DELETE FROM roost.conversation_participants
WHERE user_id = '00000000-0000-7000-8000-0000000000e7';
-- Which tells of it.
DELETE FROM realtime.events WHERE topic ~ '^(conversation:.*0000e0|user:.*0000e7)$';
UPDATE roost.conversations
SET last_seq = last_seq - 1,
    removed_seq = 0
WHERE id = '00000000-0000-7000-9000-0000000000e0';
SELECT is(
    pg_temp.outcome_as('owner', false, 'SELECT ''nothing'''),
    'done',
    'cases are run, and undone'
);
SELECT is(
    (SELECT count(*) FROM realtime.events WHERE topic LIKE 'conversation:%0000e0'),
    0::bigint,
    'so that no event is left of them'
);
TRUNCATE before;
INSERT INTO before SELECT pg_temp.state();

-- What is refused, with the right role
SELECT throws_ok(
    calling(
        'roost_user', ('00000000-0000-7000-8000-0000000000e' || bad.caller)::uuid,
        format(
            'SELECT api.' || bad.call,
            '''00000000-0000-7000-9000-0000000000e0''',
            '''00000000-0000-7000-8000-0000000000e'
        )
    ),
    bad.sqlstate,
    NULL,
    format('refused with %s: %s to %s', bad.sqlstate, bad.what, bad.caller)
)
FROM (
    VALUES
    (1, 'update_conversation(%1$s, repeat(''x'', 201))', '23514', 'a long title'),
    (1, 'update_conversation(%s, workspace_path => repeat(''x'', 4097))', '23514', 'a long path'),
    (1, 'update_conversation(%s, metadata => ''[]'')', '23514', 'a list of metadata'),
    (1, 'update_conversation(%s, search_language => ''x'')', '23514', 'an unknown language'),
    (1, 'set_retention(%s, 0)', '23514', 'no day'),
    (1, 'set_retention(%s, 36501)', '23514', 'more than a century'),
    (1, 'leave_conversation(%s)', 'RO204', 'the owner who leaves'),
    (1, 'list_participants(%s, 0)', 'RO302', 'an empty page'),
    (1, 'list_participants(%s, NULL)', 'RO302', 'no page size'),
    (1, 'add_participant(%s, %s6'', history => NULL)', 'RO302', 'no history'),
    (1, 'add_participant(%s, %s6'', ''owner'')', 'RO202', 'a second owner'),
    (1, 'add_participant(%s, %s6'', NULL)', 'RO202', 'no role'),
    (1, 'add_participant(%s, %s1'')', 'RO301', 'the owner as a member'),
    (2, 'add_participant(%s, %s6'', ''admin'')', 'RO202', 'an admin by an admin'),
    (1, 'change_role(%s, %s3'', ''owner'')', 'RO202', 'a second owner'),
    (1, 'change_role(%s, %s3'', NULL)', 'RO202', 'no role'),
    (1, 'change_role(%s, %s1'', ''admin'')', 'RO202', 'the owner''s own role'),
    (1, 'change_role(%s, %s5'', ''member'')', 'RO201', 'the role of who has left'),
    (1, 'change_role(%s, %s6'', ''member'')', 'RO201', 'the role of an outsider'),
    (1, 'change_role(%s, NULL, ''member'')', 'RO201', 'nobody''s role'),
    (2, 'change_role(%s, %s3'', ''admin'')', 'RO202', 'an admin made by an admin'),
    (2, 'change_role(%s, %s2'', ''member'')', 'RO202', 'an admin''s own role'),
    (2, 'change_role(%s, %s1'', ''viewer'')', 'RO202', 'the owner''s role'),
    (1, 'remove_participant(%s, %s1'')', 'RO202', 'the owner themself'),
    (1, 'remove_participant(%s, %s5'')', 'RO201', 'somebody who has left'),
    (1, 'remove_participant(%s, %s6'')', 'RO201', 'an outsider'),
    (2, 'remove_participant(%s, %s1'')', 'RO202', 'the owner, by an admin'),
    (2, 'remove_participant(%s, %s2'')', 'RO202', 'an admin themself'),
    (1, 'transfer_ownership(%s, %s5'')', 'RO201', 'to somebody who has left'),
    (1, 'transfer_ownership(%s, %s6'')', 'RO201', 'to an outsider'),
    (1, 'transfer_ownership(%s, NULL)', 'RO201', 'to nobody'),
    (2, 'restore_conversation(%s)', 'RO202', 'an admin'),
    (2, 'purge_conversation(%s)', 'RO202', 'an admin'),
    (3, 'unarchive_conversation(%s)', 'RO202', 'a member'),
    (1, 'get_conversation_analytics(%s, time_zone => ''Mars/Olympus'')', 'RO302', 'no zone'),
    (1, 'get_conversation_analytics(%s, time_zone => ''Nowhere+5'')', 'RO302', 'a POSIX zone'),
    (1, 'get_conversation_analytics(%s, time_zone => '''')', 'RO302', 'an empty zone'),
    (1, 'get_conversation_analytics(%s, time_zone => NULL)', 'RO302', 'a missing zone'),
    (1, 'get_conversation_analytics(%s, now(), now())', 'RO302', 'an empty range'),
    (
        1, 'get_conversation_analytics(%s, now() - interval ''367 days'')', 'RO302', 'a long range'
    ),
    (1, 'get_conversation_analytics(%s, ''-infinity'')', 'RO302', 'a range without an end'),
    (1, 'get_my_analytics(now() - interval ''367 days'')', 'RO302', 'a long range of one''s own'),
    (1, 'get_my_analytics(to_time => ''infinity'')', 'RO302', 'an endless range of one''s own'),
    (1, 'get_my_analytics(''4713-01-02 BC'', ''294276-01-01'')', 'RO302', 'all of time'),
    (1, 'get_my_analytics(to_time => ''4714-11-25 BC'')', 'RO302', 'the beginning of time'),
    (
        1, 'get_my_analytics(''294276-12-31'', ''294276-12-31 23:59'', ''Asia/Tokyo'')', 'RO302',
        'the end of time'
    ),
    (1, 'get_my_analytics(time_zone => ''Mars/Olympus'')', 'RO302', 'no zone of one''s own')
) AS bad (caller, call, sqlstate, what);
-- In a plan that serves everybody, each name of the list is compared anew.
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL statement_timeout = '2s';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-0000000000e1',
        'SELECT api.get_my_analytics(time_zone => repeat(''1'', 4000000))'
    ),
    'RO302',
    NULL,
    'a name that is too long is not looked up'
);
SET LOCAL statement_timeout TO DEFAULT;
SET LOCAL plan_cache_mode TO DEFAULT;
UPDATE roost.users SET status = 'closed' WHERE id = '00000000-0000-7000-8000-0000000000e4';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-0000000000e1',
        $$ SELECT api.transfer_ownership(
            '00000000-0000-7000-9000-0000000000e0', '00000000-0000-7000-8000-0000000000e4') $$
    ),
    'RO201',
    NULL,
    'nobody hands over to a closed account'
);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'and nothing has changed by all this');

-- What they do, in order. Each answers what the events and the reading functions say too.
CREATE FUNCTION pg_temp.newest_event()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(
        ' ',
        event.event_offset, event.event, event.revokes, event.about_offset,
        coalesce(event.payload ->> 'role', event.payload ->> 'title')
    )
    FROM realtime.events AS event
    WHERE event.topic = 'conversation:00000000-0000-7000-9000-0000000000e0'
    ORDER BY event.event_offset DESC
    LIMIT 1;
$$;
CREATE FUNCTION pg_temp.done(p_caller integer, p_call text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(
        '; ',
        as_caller(
            'roost_user', ('00000000-0000-7000-8000-0000000000e' || p_caller)::uuid,
            format(
                'SELECT ' || p_call,
                '''00000000-0000-7000-9000-0000000000e0''',
                '''00000000-0000-7000-8000-0000000000e'
            )
        ),
        pg_temp.newest_event()
    );
$$;
UPDATE roost.conversations SET metadata = '{"a": 1, "b": 2}'
WHERE id = '00000000-0000-7000-9000-0000000000e0';
SELECT is(pg_temp.done(step.caller, step.call), step.answer, step.what)
FROM (
    VALUES
    (
        1, '(api.get_conversation(%s)).unread_count', '3',
        'get_conversation: everything is unread to the owner'
    ),
    (
        3, '(api.get_conversation(%s)).unread_count', '1', 'but to the member who has read two'
    ),
    (
        3, '((api.get_conversation(%s)).last_message).seq', '3', 'it has the newest message'
    ),
    (
        2, '(api.get_conversation(%s)).role', 'admin', 'and the caller''s own role'
    ),
    (
        2, '(api.update_conversation(%s, metadata => ''{"b": null, "c": 3}'')).metadata',
        '{"a": 1, "c": 3}; 4 conversation.updated Plans',
        'update_conversation merges metadata by key'
    ),
    (
        2, '(api.update_conversation(%s, ''New plans'', ''/src'', NULL, ''english'')).title',
        'New plans; 5 conversation.updated New plans', 'and sets the rest'
    ),
    (
        2, '(api.update_conversation(%s, ''New plans'', metadata => ''{"a": 1}'')).workspace_path',
        '/src; 5 conversation.updated New plans', 'the same again is no event'
    ),
    (
        2, '(api.update_conversation(%s)).search_language',
        'english; 5 conversation.updated New plans', 'nor is nothing at all'
    ),
    (
        1, '(api.set_retention(%s, 90)).retention_days',
        '90; 6 conversation.updated New plans', 'set_retention sets a number of days'
    ),
    (
        1, '(api.set_retention(%s, 90)).retention_days',
        '90; 6 conversation.updated New plans', 'the same again is no event'
    ),
    (
        1, '(api.set_retention(%s, NULL)).retention_days',
        '7 conversation.updated New plans', 'NULL is for ever'
    ),
    (
        2, '(api.archive_conversation(%s)).archived_at IS NOT NULL',
        'true; 8 conversation.archived New plans', 'archive_conversation archives'
    ),
    (
        2, '(api.archive_conversation(%s)).archived_at IS NOT NULL',
        'true; 8 conversation.archived New plans', 'once'
    ),
    (
        3, '(SELECT count(*) FROM api.list_conversations())',
        '0; 8 conversation.archived New plans', 'it is not among the active ones any more'
    ),
    (
        3, '(SELECT string_agg(title, '','') FROM api.list_conversations(state => ''archived''))',
        'New plans; 8 conversation.archived New plans', 'but among the archived ones'
    ),
    (
        2, '(api.unarchive_conversation(%s)).archived_at IS NOT NULL',
        'false; 9 conversation.unarchived New plans', 'unarchive_conversation takes it out'
    ),
    (
        2, '(api.unarchive_conversation(%s)).archived_at IS NOT NULL',
        'false; 9 conversation.unarchived New plans', 'once'
    ),
    (
        1, '(SELECT string_agg(role::text, '','') FROM api.list_participants(%s))',
        'owner,admin,member,viewer; 9 conversation.unarchived New plans',
        'list_participants lists who takes part, by user id'
    ),
    (
        4, '(SELECT string_agg(role::text, '','') FROM api.list_participants(%s, 2))',
        'owner,admin; 9 conversation.unarchived New plans', 'in pages'
    ),
    (
        4, '(SELECT string_agg(role::text, '','') FROM api.list_participants(%s, 2, %s2''))',
        'member,viewer; 9 conversation.unarchived New plans', 'one after another'
    ),
    (
        2, 'concat_ws(''/'', (api.change_role(%s, %s3'', ''viewer'')).role)',
        'viewer; 10 participant.updated viewer', 'change_role gives another role'
    ),
    (
        2, '(api.change_role(%s, %s3'', ''viewer'')).role',
        'viewer; 10 participant.updated viewer', 'once'
    ),
    (
        1, '(api.change_role(%s, %s3'', ''admin'')).role',
        'admin; 11 participant.updated admin', 'the owner makes admins'
    ),
    (
        1, '(api.change_role(%s, %s3'', ''member'')).role',
        'member; 12 participant.updated member', 'and unmakes them'
    ),
    (
        1, '(api.transfer_ownership(%s, %s2'')).role',
        'admin; 15 conversation.updated New plans', 'transfer_ownership leaves an admin'
    ),
    (
        2, '(api.transfer_ownership(%s, %s2'')).role',
        'owner; 15 conversation.updated New plans', 'to oneself it is nothing'
    ),
    (
        2, '(api.transfer_ownership(%s, %s1'')).role',
        'admin; 18 conversation.updated New plans', 'and back'
    ),
    (
        1, '(api.add_participant(%s, %s6'', ''admin'', ''from_now'')).last_read_seq',
        '18; 19 participant.added admin', 'add_participant with the history from now on'
    ),
    (
        6, '(api.get_conversation(%s)).unread_count', '0; 19 participant.added admin',
        'to whom nothing is unread'
    ),
    (
        6, '((api.get_conversation(%s)).last_message).seq', '19 participant.added admin',
        'nor there'
    ),
    (
        6, '(SELECT message_count FROM api.get_conversation_analytics(%s))',
        '0; 19 participant.added admin', 'nor counted'
    ),
    (
        6, '(api.leave_conversation(%s)).left_at IS NOT NULL',
        'true; 20 participant.removed 00000000-0000-7000-8000-0000000000e6 admin',
        'leave_conversation ends it'
    ),
    (
        1, '(api.add_participant(%s, %s6'', ''viewer'')).left_at IS NULL',
        'true; 21 participant.added viewer', 'the next adding has a role of its own'
    ),
    (
        6, '((api.get_conversation(%s)).last_message).seq', '3; 21 participant.added viewer',
        'and a history'
    ),
    (
        1, '(api.add_participant(%s, %s6'', ''viewer'', ''from_now'')).joined_at = now()',
        'true; 21 participant.added viewer', 'of whoever takes part it changes neither'
    ),
    (
        6, '((api.get_conversation(%s)).last_message).seq', '3; 21 participant.added viewer',
        'so they see the same'
    ),
    (
        1, '(api.remove_participant(%s, %s6'')).left_at IS NOT NULL',
        'true; 22 participant.removed 00000000-0000-7000-8000-0000000000e6 viewer',
        'remove_participant ends it too'
    ),
    (
        1, '(api.remove_participant(%s, %s4'')).left_at IS NOT NULL',
        'true; 23 participant.removed 00000000-0000-7000-8000-0000000000e4 viewer',
        'also for a closed account'
    )
) AS step (caller, call, answer, what);
SELECT results_eq(
    $$
        SELECT event.event, event.payload ->> 'user_id', event.payload ->> 'role'
        FROM realtime.events AS event
        WHERE event.topic LIKE 'conversation:%0000e0' AND event.event_offset BETWEEN 13 AND 15
        ORDER BY event.event_offset
    $$,
    $$ VALUES
        ('participant.updated', '00000000-0000-7000-8000-0000000000e1', 'admin'),
        ('participant.updated', '00000000-0000-7000-8000-0000000000e2', 'owner'),
        ('conversation.updated', '00000000-0000-7000-8000-0000000000e2', NULL) $$,
    'a hand-over tells of the old owner, the new one, and the conversation'
);
SELECT results_eq(
    $$
        SELECT event.event, json_object_keys(event.payload)
        FROM realtime.events AS event
        WHERE event.topic = 'user:00000000-0000-7000-8000-0000000000e6'
        ORDER BY event.event_offset
    $$,
    $$ VALUES
        ('conversation.added', 'conversation_id'), ('conversation.added', 'title'),
        ('conversation.added', 'added_by'), ('conversation.removed', 'conversation_id'),
        ('conversation.added', 'conversation_id'), ('conversation.added', 'title'),
        ('conversation.added', 'added_by'), ('conversation.removed', 'conversation_id') $$,
    'the inbox of whoever comes and goes says so'
);
SELECT results_eq(
    $$
        SELECT DISTINCT event.event, string_agg(keys.key, ' ' ORDER BY keys.place)
        FROM realtime.events AS event
        CROSS JOIN LATERAL json_object_keys(event.payload) WITH ORDINALITY AS keys (key, place)
        WHERE event.topic LIKE 'conversation:%00e0' AND event.event ~ '^(conversation|participant)'
        GROUP BY event.event, event.event_offset
        ORDER BY event.event
    $$,
    $$
        SELECT
            told.event,
            string_agg(attribute.attname COLLATE "default", ' ' ORDER BY attribute.attnum)
        FROM (
            VALUES
            ('conversation.archived', 'roost.shared_conversation'),
            ('conversation.unarchived', 'roost.shared_conversation'),
            ('conversation.updated', 'roost.shared_conversation'),
            ('participant.added', 'roost.participant'),
            ('participant.removed', 'roost.participant'),
            ('participant.updated', 'roost.participant')
        ) AS told (event, type)
        JOIN pg_attribute AS attribute
            ON attribute.attrelid = told.type::regclass
            AND attribute.attnum > 0
            AND NOT attribute.attisdropped
        GROUP BY told.event
        ORDER BY told.event
    $$,
    'events have the shape of what the reading functions answer'
);
SELECT is_empty(
    $$
        SELECT attribute.attname FROM pg_attribute AS attribute
        WHERE attribute.attrelid = 'roost.shared_conversation'::regclass
            AND attribute.attnum > 0
            AND NOT attribute.attisdropped
        EXCEPT
        SELECT attribute.attname FROM pg_attribute AS attribute
        WHERE attribute.attrelid = 'roost.conversation'::regclass
    $$,
    'what is told of a conversation is part of what is read of it'
);
SELECT lives_ok('SET CONSTRAINTS ALL IMMEDIATE', 'all this time there was one owner');
SET CONSTRAINTS ALL DEFERRED;

-- Whoever has left does not type
INSERT INTO roost.devices (id, user_id)
VALUES
('00000000-0000-7000-8000-0000000000d3', '00000000-0000-7000-8000-0000000000e3'),
('00000000-0000-7000-8000-0000000000d2', '00000000-0000-7000-8000-0000000000e2');
INSERT INTO roost.typing_indicators (conversation_id, user_id, device_id, expires_at)
SELECT '00000000-0000-7000-9000-0000000000e0', device.user_id, device.id, now()
FROM roost.devices AS device
WHERE device.id IN (
    '00000000-0000-7000-8000-0000000000d3', '00000000-0000-7000-8000-0000000000d2'
);
SELECT is(
    pg_temp.done(2, '(api.remove_participant(%s, %s3'')).role'),
    'member; 24 participant.removed 00000000-0000-7000-8000-0000000000e3 member',
    'an admin removes a member who types'
);
SELECT results_eq(
    'SELECT user_id FROM roost.typing_indicators',
    $$ VALUES ('00000000-0000-7000-8000-0000000000e2'::uuid) $$,
    'who then does not any more'
);

-- Deleting, restoring, deleting for good
SELECT is(pg_temp.done(step.caller, step.call), step.answer, step.what)
FROM (
    VALUES
    (
        1, '(api.delete_conversation(%s)).deleted_at IS NOT NULL',
        'true; 25 conversation.deleted everybody New plans', 'delete_conversation deletes'
    ),
    (
        1, '((api.delete_conversation(%s)).last_message).seq',
        '25 conversation.deleted everybody New plans', 'once, and shows no message'
    ),
    (
        1, '(SELECT string_agg(title, '','') FROM api.list_conversations(state => ''deleted''))',
        'New plans; 25 conversation.deleted everybody New plans', 'its owner lists it'
    ),
    (
        1, '(SELECT count(*) FROM api.list_conversations())',
        '0; 25 conversation.deleted everybody New plans', 'not among the active ones'
    ),
    (
        2, '(SELECT count(*) FROM api.list_conversations(state => ''deleted''))',
        '0; 25 conversation.deleted everybody New plans', 'nobody else does'
    )
) AS step (caller, call, answer, what);
SELECT throws_ok(
    calling(
        'roost_user', ('00000000-0000-7000-8000-0000000000e' || caller.number)::uuid,
        format(lifecycle.call, '00000000-0000-7000-9000-0000000000e0')
    ),
    'RO201',
    NULL,
    format('%s of a deleted conversation to %s', lifecycle.name, caller.name)
)
FROM lifecycle
CROSS JOIN (VALUES (1, 'its owner'), (2, 'an admin')) AS caller (number, name)
WHERE caller.number <> 1 OR lifecycle.name !~ '^(delete|restore|purge)_conversation$';
SELECT is(
    as_caller(
        'roost_api', ('00000000-0000-7000-8000-0000000000e' || seen.caller)::uuid,
        format('SELECT count(*) FROM roost.%s WHERE %s', seen.relation, seen.condition)
    ),
    seen.rows,
    format('by policy, of a deleted conversation %s sees %s', seen.caller, seen.relation)
)
FROM (
    VALUES
    (1, 'messages', 'conversation_id::text ~ ''e0$''', '0'),
    (2, 'messages', 'conversation_id::text ~ ''e0$''', '0'),
    (1, 'conversations', 'id::text ~ ''e0$''', '1'),
    (2, 'conversations', 'id::text ~ ''e0$''', '0'),
    (1, 'conversation_participants', 'user_id <> roost.current_user_id()', '0'),
    (2, 'conversation_participants', 'user_id <> roost.current_user_id()', '0')
) AS seen (caller, relation, condition, rows);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-0000000000e1',
        'UPDATE roost.conversations SET ' || change.assignment
    ),
    '42501',
    NULL,
    'refused by trigger, of a deleted conversation, to its owner: ' || change.assignment
)
FROM (
    VALUES ('title = ''x'''), ('deleted_at = now() + interval ''1 day'''),
    ('deleted_at = NULL, title = ''x''')
) AS change (assignment);
SELECT is(pg_temp.done(step.caller, step.call), step.answer, step.what)
FROM (
    VALUES
    (
        1, '((api.restore_conversation(%s)).last_message).seq',
        '3; 26 conversation.restored New plans', 'restore_conversation brings it back'
    ),
    (
        1, '(api.restore_conversation(%s)).deleted_at IS NULL',
        'true; 26 conversation.restored New plans', 'once'
    ),
    (
        2, '(api.get_conversation(%s)).role', 'admin; 26 conversation.restored New plans',
        'for everybody who took part'
    )
) AS step (caller, call, answer, what);
SELECT results_eq(
    $$
        SELECT event.topic, event.event
        FROM realtime.events AS event
        WHERE event.topic LIKE 'user:%000000e_'
            AND event.event_offset > (
                SELECT max(before.event_offset) - 2
                FROM realtime.events AS before
                WHERE before.topic = event.topic
            )
            AND event.event <> 'account.updated'
            AND event.topic !~ '0000000000e6$'
        ORDER BY event.topic, event.event_offset
    $$,
    $$ VALUES
        ('user:00000000-0000-7000-8000-0000000000e1', 'conversation.removed'),
        ('user:00000000-0000-7000-8000-0000000000e1', 'conversation.restored'),
        ('user:00000000-0000-7000-8000-0000000000e2', 'conversation.removed'),
        ('user:00000000-0000-7000-8000-0000000000e2', 'conversation.restored'),
        ('user:00000000-0000-7000-8000-0000000000e3', 'conversation.removed'),
        ('user:00000000-0000-7000-8000-0000000000e4', 'conversation.removed') $$,
    'their inboxes say both; who had left has heard of neither'
);
UPDATE roost.conversations SET deleted_at = now() - interval '30 days'
WHERE id = '00000000-0000-7000-9000-0000000000e0';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-0000000000e1',
        'SELECT api.restore_conversation(''00000000-0000-7000-9000-0000000000e0'')'
    ),
    'RO305',
    NULL,
    'after 30 days nothing brings it back'
);
SELECT is(
    pg_temp.done(1, '(SELECT count(*) FROM api.list_conversations(state => ''deleted''))'),
    '0; 26 conversation.restored New plans',
    'and its owner does not list it any more'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-0000000000e1',
        'UPDATE roost.conversations SET deleted_at = NULL'
    ),
    '42501',
    NULL,
    'nor brings it back past the functions'
);
SELECT lives_ok(
    $$
        SELECT realtime.publish(
            'user:00000000-0000-7000-8000-0000000000e2', 'conversation.added',
            '{"conversation_id": "00000000-0000-7000-9000-0000000000ff", "title": "Other"}'
        )
    $$,
    'an admin is in another one, too'
);
SELECT set_eq(
    $$
        SELECT event.payload ->> 'title'
        FROM realtime.events AS event
        WHERE event.topic LIKE 'user:%000000e_' AND event.payload ->> 'title' IS NOT NULL
    $$,
    ARRAY['New plans', 'Other'],
    'inboxes name it'
);
SELECT results_eq(
    'SELECT roost.purge_conversations(2)',
    'VALUES (1 + 2 + 20::bigint)',
    'the job erases it in parts: two messages, and twenty events'
);
SELECT set_eq(
    $$
        SELECT event.payload ->> 'title'
        FROM realtime.events AS event
        WHERE event.topic LIKE 'user:%000000e_' AND event.payload ->> 'title' IS NOT NULL
    $$,
    ARRAY['', 'Other'],
    'inboxes do not name it any more, and others still'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-0000000000e1',
        format('SELECT api.%s(''00000000-0000-7000-9000-0000000000e0'')', called.name)
    ),
    called.sqlstate,
    NULL,
    format('%s of what is left of it', called.name)
)
FROM (
    VALUES ('restore_conversation', 'RO305'), ('get_conversation', 'RO201')
) AS called (name, sqlstate);
SELECT is(
    pg_temp.done(1, 'api.purge_conversation(%s)::text IS NOT NULL'),
    'true; 26 conversation.restored New plans',
    'purging it again is nothing'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-0000000000e1',
        'SELECT (api.delete_conversation(''00000000-0000-7000-9000-0000000000e0'')).id'
    ),
    NULL,
    'nor is deleting it, which shows nothing of it'
);
CREATE FUNCTION pg_temp.refuse()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'not this one';
END;
$$;
CREATE TRIGGER refuse BEFORE DELETE ON roost.messages
FOR EACH ROW
WHEN (old.conversation_id = '00000000-0000-7000-9000-0000000000e0')
EXECUTE FUNCTION pg_temp.refuse();
INSERT INTO roost.conversations (id, user_id, deleted_at)
VALUES (
    '00000000-0000-7000-9000-0000000000ef', '00000000-0000-7000-8000-0000000000e1',
    now() - interval '31 days'
);
SELECT is(
    roost.purge_conversations(100), 1::bigint,
    'one that can''t be erased is passed by, and the next one is'
);
SELECT is(
    (SELECT count(*) FROM roost.messages WHERE conversation_id::text ~ '0000000000e0$')::text
    || (SELECT count(*) FROM roost.conversations WHERE id::text ~ '0000000000ef$'),
    '10',
    'it is left as it was'
);
DROP TRIGGER refuse ON roost.messages;
SELECT is(roost.purge_conversations(100), 1 + 1 + 3::bigint, 'then the rest');
SELECT is(roost.purge_conversations(100), 0::bigint, 'and nothing is left to do');
SELECT is(
    (SELECT count(*) FROM realtime.events WHERE topic LIKE 'conversation:%0000e0')
    + (SELECT count(*) FROM roost.conversations WHERE id::text ~ '0000000000e0$')
    + (
        SELECT count(*)
        FROM roost.conversation_participants
        WHERE conversation_id::text ~ '0000000000e0$'
    )
    + (SELECT count(*) FROM roost.messages WHERE conversation_id::text ~ '0000000000e0$'),
    0::bigint,
    'no row of it'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-0000000000f1',
        'SELECT api.purge_conversation(''00000000-0000-7000-9000-0000000000f1'')'
    ),
    '',
    'purge_conversation of a small one'
);
SELECT results_eq(
    $$
        SELECT event.event, event.revokes, event.payload ->> 'title'
        FROM realtime.events AS event
        WHERE event.topic LIKE 'conversation:%000000f1'
    $$,
    $$ VALUES ('conversation.deleted', 'everybody', '') $$,
    'leaves one event, for whoever is live'
);
SELECT is(
    (SELECT count(*) FROM roost.conversations WHERE id::text ~ '0000000000f1$')
    + (SELECT count(*) FROM roost.messages WHERE conversation_id::text ~ '0000000000f1$'),
    0::bigint,
    'and no row'
);

-- Analytics: in Berlin the clocks went forward on 29 March 2026, at 2, and back on 25 October.
INSERT INTO roost.conversations (id, user_id, last_seq)
VALUES ('00000000-0000-7000-9000-0000000000a1', '00000000-0000-7000-8000-0000000000f1', 9);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, history_after_seq)
VALUES
(
    '00000000-0000-7000-9000-0000000000a1', '00000000-0000-7000-8000-0000000000f1', 'owner', 0
),
(
    '00000000-0000-7000-9000-0000000000a1', '00000000-0000-7000-8000-0000000000f2', 'member', 2
);
INSERT INTO roost.messages (conversation_id, seq, user_id, content, created_at, deleted_at)
SELECT
    '00000000-0000-7000-9000-0000000000a1',
    written.seq,
    ('00000000-0000-7000-8000-0000000000f' || written.person)::uuid,
    '{"text": "hello"}',
    written.at::timestamptz,
    NULL
FROM (
    VALUES
    (1, 1, '2026-03-28 23:30:00+01'), (2, 1, '2026-03-29 01:30:00+01'),
    -- The clock goes from 2 to 3 in between: 100 seconds later.
    (3, 2, '2026-03-29 00:31:40+00'), (4, 1, '2026-03-29 03:10:00+02'),
    -- Of a transaction that began before the one above and waited for it.
    (5, 2, '2026-03-29 03:09:59+02'),
    -- The hour from 2 to 3 twice.
    (6, 1, '2026-10-25 02:30:00+02'), (7, 1, '2026-10-25 02:30:00+01'),
    (8, 2, '2026-10-25 23:59:59+01'), (9, 2, '2026-10-26 00:00:00+01')
) AS written (seq, person, at);
UPDATE roost.messages
SET content = '{}', deleted_at = now(), deleted_by = user_id
WHERE conversation_id = '00000000-0000-7000-9000-0000000000a1' AND seq = 5;
SELECT results_eq(
    format(
        $$
            SELECT
                (answer ->> 'message_count')::bigint,
                (answer ->> 'participant_count')::bigint,
                answer -> 'participants' #>> '{0,message_count}',
                (answer -> 'response_times' ->> 'response_count')::bigint,
                (answer -> 'response_times' ->> 'median')::numeric,
                (answer -> 'response_times' ->> 'mean')::numeric,
                (answer -> 'response_times' ->> 'percentile_95')::numeric,
                (
                    SELECT string_agg(
                        concat(hour ->> 'hour', '=', hour ->> 'message_count'), ' '
                        ORDER BY (hour ->> 'hour')::bigint
                    )
                    FROM json_array_elements(answer -> 'hours') AS hour
                    WHERE hour ->> 'message_count' <> '0'
                ),
                (
                    SELECT string_agg(
                        concat(day ->> 'day', '=', day ->> 'message_count'), ' '
                        ORDER BY day ->> 'day'
                    )
                    FROM json_array_elements(answer -> 'days') AS day
                )
            FROM as_caller(
                'roost_user', %L,
                $query$
                    SELECT row_to_json(api.get_conversation_analytics(
                        '00000000-0000-7000-9000-0000000000a1', %L, %L, %L
                    ))
                $query$
            ) AS called (text)
            CROSS JOIN LATERAL (SELECT called.text::json) AS parsed (answer)
        $$,
        '00000000-0000-7000-8000-0000000000f' || asked.person, asked.from_time, asked.to_time,
        asked.time_zone
    ),
    format('VALUES (%s)', asked.answer),
    asked.what
)
FROM (
    VALUES
    (
        1, '2026-03-28 00:00:00+01', '2026-03-30 00:00:00+02', 'Europe/Berlin',
        '5::bigint, 2::bigint, ''3'', 3::bigint, 100.000, 800.000, 2080.000,'
        ' ''1=2 3=2 23=1'', ''2026-03-28=1 2026-03-29=4''',
        'where the clocks go forward, a tombstone included'
    ),
    (
        1, '2026-03-28 00:00:00+00', '2026-03-30 00:00:00+00', 'UTC',
        '5::bigint, 2::bigint, ''3'', 3::bigint, 100.000, 800.000, 2080.000,'
        ' ''0=2 1=2 22=1'', ''2026-03-28=1 2026-03-29=4''',
        'the same in UTC'
    ),
    (
        1, '2026-10-25 00:00:00+02', '2026-10-26 00:00:00+01', 'europe/berlin',
        '3::bigint, 2::bigint, ''2'', 1::bigint, 77399.000, 77399.000, 77399.000,'
        ' ''2=2 23=1'', ''2026-10-25=3''',
        'where they go back: a day of 25 hours, without the next'
    ),
    (
        2, '2026-03-28 00:00:00+01', '2026-03-30 00:00:00+02', 'Europe/Berlin',
        '3::bigint, 2::bigint, ''2'', 2::bigint, 1150.000, 1150.000, 2185.000,'
        ' ''1=1 3=2'', ''2026-03-28=0 2026-03-29=3''',
        'who sees from later on counts from later on'
    ),
    (
        1, '2026-05-01 00:00:00+00', '2026-05-02 12:00:00+00', 'Etc/GMT+3',
        '0::bigint, 0::bigint, NULL, 0::bigint, NULL::numeric, NULL::numeric, NULL::numeric,'
        ' NULL, ''2026-04-30=0 2026-05-01=0 2026-05-02=0''',
        'where nothing was sent'
    )
) AS asked (person, from_time, to_time, time_zone, answer, what);
SELECT is(
    as_caller(
        'roost_user', ('00000000-0000-7000-8000-0000000000f' || asked.person)::uuid,
        $$
            SELECT concat_ws(
                ' ', message_count, conversation_count, cardinality(conversations),
                (response_times).response_count, (response_times).mean, cardinality(hours),
                cardinality(days)
            )
            FROM api.get_my_analytics(
                '2026-03-28 00:00:00+01', '2026-03-30 00:00:00+02', 'Europe/Berlin'
            )
        $$
    ),
    asked.answer,
    asked.what
)
FROM (
    VALUES
    (1, '3 1 1 1 2300.000 24 2', 'one''s own messages, and how soon one answered'),
    (2, '2 1 1 1 0.000 24 2', 'what came before one was added is answered by nobody'),
    (6, '0 0 0 0 24 2', 'of somebody who sent nothing')
) AS asked (person, answer, what);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-0000000000f1',
        $$
            SELECT to_time = now() AND to_time - from_time = interval '30 days'
            FROM api.get_my_analytics()
        $$
    ),
    'true',
    'the last 30 days, when nothing is said'
);

-- Exactly one owner: asked when the transaction ends
SELECT throws_ok(
    format(
        $test$
            DO $do$
            BEGIN
                %s;
                SET CONSTRAINTS ALL IMMEDIATE;
            END;
            $do$
        $test$,
        change.command
    ),
    '23514',
    NULL,
    'refused in the end: ' || change.command
)
FROM (
    VALUES
    (
        'UPDATE roost.conversation_participants SET role = ''admin'''
        ' WHERE conversation_id::text ~ ''a1$'' AND role = ''owner'''
    ),
    (
        'UPDATE roost.conversation_participants SET role = ''owner'''
        ' WHERE conversation_id::text ~ ''a1$'''
    ),
    (
        'UPDATE roost.conversation_participants SET left_at = now()'
        ' WHERE conversation_id::text ~ ''a1$'' AND role = ''owner'''
    ),
    (
        'DELETE FROM roost.conversation_participants'
        ' WHERE conversation_id::text ~ ''a1$'' AND role = ''owner'''
    ),
    (
        'UPDATE roost.conversations SET user_id = ''00000000-0000-7000-8000-0000000000f2'''
        ' WHERE id::text ~ ''a1$'''
    ),
    (
        'INSERT INTO roost.conversation_participants (conversation_id, user_id, role) VALUES'
        ' (''00000000-0000-7000-9000-0000000000a1'', ''00000000-0000-7000-8000-0000000000f6'','
        ' ''owner'')'
    ),
    (
        'INSERT INTO roost.conversations (user_id) VALUES'
        ' (''00000000-0000-7000-8000-0000000000f6'')'
    )
) AS change (command);
SELECT lives_ok(
    $test$
        DO $do$
        BEGIN
            DELETE FROM roost.conversations WHERE id::text ~ '0000000000a1$';
            SET CONSTRAINTS ALL IMMEDIATE;
        END;
        $do$
    $test$,
    'a conversation that is gone needs none'
);

SELECT * FROM finish();

ROLLBACK;

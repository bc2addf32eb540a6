-- What a device lacks: in which order it comes, where it goes on, what is refused.
BEGIN;

SELECT plan(131);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_session(
    ('00000000-0000-7000-8000-00000000000' || person.name)::uuid,
    ('00000000-0000-7000-8000-0000000000d' || person.name)::uuid,
    ('00000000-0000-7000-8000-0000000000e' || person.name)::uuid
)
FROM (VALUES ('a'), ('b'), ('c')) AS person (name);
INSERT INTO roost.conversations (id, user_id, last_activity)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a',
    now() - interval '1 hour'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a',
    now() - interval '2 hours'
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT
    ('00000000-0000-7000-9000-00000000000' || part.conversation)::uuid,
    ('00000000-0000-7000-8000-00000000000' || part.person)::uuid,
    part.role::roost.participant_role
FROM (
    VALUES (1, 'a', 'owner'), (1, 'b', 'member'), (2, 'a', 'owner')
) AS part (conversation, person, role);
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
-- What a page says, in short: of a scope its last letter, of a change what it is about and where.
CREATE FUNCTION pg_temp.pulled(p_person text, p_arguments text DEFAULT '')
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.on_device(
        p_person,
        format(
            'SELECT concat_ws('
            '    ''; '','
            '    (SELECT string_agg(concat_ws('
            '        '' '','
            '        left(change.said ->> ''scope'', 1) || right(change.said ->> ''scope'', 1),'
            '        change.said ->> ''kind'','
            '        nullif(change.said ->> ''op'', ''put''),'
            '        coalesce('
            '            change.said -> ''value'' ->> ''seq'', change.said ->> ''seq'','
            '            right(change.said ->> ''id'', 2),'
            '            change.said -> ''value'' ->> ''from_seq'''
            '        ),'
            '        ''@'' || (change.said ->> ''offset'')'
            '    ), '', '' ORDER BY change.place)'
            '    FROM json_array_elements(page.changes)'
            '        WITH ORDINALITY AS change (said, place)),'
            '    page.progress ->> ''done'' || '' of '' || (page.progress ->> ''total''),'
            '    CASE WHEN page.has_more THEN ''more'' END'
            ') FROM api.pull_changes(%s) AS page',
            p_arguments
        )
    );
$$;
CREATE FUNCTION pg_temp.cursor_of(p_person text, p_arguments text DEFAULT '')
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.on_device(
        p_person, format('SELECT page.cursor FROM api.pull_changes(%s) AS page', p_arguments)
    );
$$;
CREATE FUNCTION pg_temp.acknowledged(p_person text, p_cursor text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.on_device(p_person, format('SELECT api.ack_changes(%L)', p_cursor));
$$;
CREATE FUNCTION pg_temp.says(p_person text, p_conversation integer, p_number integer)
RETURNS void
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.on_device(
        p_person,
        format(
            'SELECT api.send_message(%L, ''{"text": "x"}'')',
            '00000000-0000-7000-9000-00000000000' || p_conversation
        )
    )
    FROM generate_series(1, p_number);
$$;
CREATE FUNCTION pg_temp.kept(p_person text)
RETURNS SETOF text
LANGUAGE sql
STABLE
AS $$
    SELECT concat_ws(
        ' ', left(scope, 1) || right(scope, 1), position, from_seq, to_seq, held_count, epoch
    )
    FROM roost.sync_scopes
    WHERE device_id = ('00000000-0000-7000-8000-0000000000d' || p_person)::uuid
    ORDER BY scope;
$$;

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
    VALUES
    ('SELECT api.pull_changes()'),
    ('SELECT api.ack_changes(''x'')'),
    ('SELECT api.reset_changes()'),
    ('SELECT api.verify_scope(''user:x'', 0, 0, ''{}'')')
) AS called (query);
SELECT set_config('roost.device_id', '', true);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000a', called.query),
    'RO302', 'The session has no device that could have received anything.',
    'not without a device: ' || called.query
)
FROM (
    VALUES
    ('SELECT api.pull_changes()'), ('SELECT api.ack_changes(''x'')'),
    ('SELECT api.reset_changes()')
) AS called (query);

-- What is refused
SELECT throws_ok(
    format('SELECT pg_temp.pulled(%L, %L)', 'a', refused.arguments), refused.sqlstate, NULL,
    'refused: ' || refused.arguments
)
FROM (
    VALUES
    ('0', 'RO302'),
    ('1001', 'RO302'),
    ('NULL', 'RO302'),
    ('cursor => ''''', 'RO302'),
    ('cursor => ''x''', 'RO302'),
    ('cursor => ''%%%''', 'RO302'),
    ('cursor => repeat(''A'', 300000)', 'RO302'),
    ('cursor => ''W10''', 'RO302'),
    ('filter => ''[]''', 'RO302'),
    ('filter => ''{"people": []}''', 'RO302'),
    ('filter => ''{"messages": -1}''', 'RO302'),
    ('filter => ''{"messages": "1"}''', 'RO302'),
    ('filter => ''{"messages": 10001}''', 'RO302'),
    ('filter => ''{"conversations": "x"}''', 'RO302'),
    ('filter => ''{"conversations": ["x"]}''', 'RO302')
) AS refused (arguments, sqlstate);
SELECT throws_ok(
    format(
        'SELECT pg_temp.acknowledged(%L, %L)',
        'a',
        translate(
            encode(convert_to(sent.said, 'UTF8'), 'base64'), E'+/=\n', '-_'
        )
    ),
    sent.sqlstate,
    NULL,
    'refused: ' || left(sent.said, 80)
)
FROM (
    VALUES
    ('[]', 'RO302'),
    ('{"version": 2, "scopes": {}, "progress": {"done": 1, "total": 2}}', 'RO302'),
    ('{"version": 1, "scopes": [], "progress": {"done": 1, "total": 2}}', 'RO302'),
    ('{"version": 1, "scopes": {"app:x": null}, "progress": {"done": 1, "total": 2}}', 'RO302'),
    (
        '{"version": 1, "scopes":'
        ' {"user:00000000-0000-7000-8000-00000000000a": [1, 1, 1]},'
        ' "progress": {"done": 1, "total": 2}}',
        'RO302'
    ),
    (
        '{"version": 1, "scopes":'
        ' {"user:00000000-0000-7000-8000-00000000000a": [-2, 1, 1, 1, 0]},'
        ' "progress": {"done": 1, "total": 2}}',
        'RO302'
    ),
    (
        '{"version": 1, "device": "00000000-0000-7000-8000-0000000000da", "scopes": {}}',
        'RO302'
    ),
    (
        '{"version": 1, "device": "00000000-0000-7000-8000-0000000000da", "scopes": {},'
        ' "progress": {"done": -1, "total": 2}}',
        'RO302'
    ),
    (
        '{"version": 1, "device": "00000000-0000-7000-8000-0000000000db", "scopes": {},'
        ' "progress": {"done": 1, "total": 2}}',
        'RO302'
    ),
    (
        '{"version": 1, "device": "00000000-0000-7000-8000-0000000000da", "epoch": "none",'
        ' "scopes": {}, "progress": {"done": 1, "total": 2}}',
        'RO403'
    )
) AS sent (said, sqlstate);
SELECT throws_ok(
    $$ SELECT pg_temp.acknowledged('a', NULL) $$, 'RO302', NULL, 'no cursor at all'
);
SELECT is_empty('SELECT scope FROM roost.sync_scopes', 'none of it is kept');

-- First everything: the person's own things, then what was last active, newest messages first.
SELECT pg_temp.says('b', 1, 3);
SELECT is(
    pg_temp.pulled('a'),
    'ua scope reset, ua account 0a @0, ua device da @0, ua scope 1 @0,'
    ' c1 scope reset, c1 conversation 01 @3, c1 participant 0a @0, c1 participant 0b @3,'
    ' c1 message 1 @1, c1 message 2 @2, c1 message 3 @3, c1 scope 1 @3,'
    ' c2 scope reset, c2 conversation 02 @0, c2 participant 0a @0, c2 scope 1 @0; 3 of 3',
    'all of it'
);
SELECT is(
    pg_temp.pulled('a', '1'),
    'ua scope reset, ua account 0a @0, ua device da @0, ua scope 1 @0; 1 of 3; more',
    'a small page ends with the scope'
);
SELECT is(
    pg_temp.pulled('a', format('1, %L', pg_temp.cursor_of('a', '1'))),
    'c1 scope reset, c1 conversation 01 @3, c1 participant 0a @0; 1 of 3; more',
    'or within it, behind an offset'
);
SELECT is(
    pg_temp.pulled(
        'a',
        format(
            '3, %L',
            pg_temp.cursor_of('a', format('1, %L', pg_temp.cursor_of('a', '1')))
        )
    ),
    'c1 conversation 01 @3, c1 participant 0b @3, c1 message 3 @3, c1 scope 3 @3; 1 of 3; more',
    'the newest messages come first'
);
SELECT is(pg_temp.pulled('a'), pg_temp.pulled('a'), 'nothing moves until it is acknowledged');
SELECT is(pg_temp.acknowledged('a', pg_temp.cursor_of('a')), '3', 'of three scopes');
SELECT results_eq(
    $$ SELECT pg_temp.kept('a') $$,
    $$ VALUES ('c1 3 1 3 3 first'), ('c2 0 1 0 0 first'), ('ua 0 1 0 0 first') $$,
    'it is kept'
);
SELECT results_eq(
    $$
        SELECT participant.last_delivered_seq, participant.last_read_seq
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = '00000000-0000-7000-9000-000000000001'
            AND participant.user_id = '00000000-0000-7000-8000-00000000000a'
    $$,
    $$ VALUES (3::bigint, 0::bigint) $$,
    'messages are delivered, not read'
);
SELECT is(
    pg_temp.pulled('a'),
    'c1 conversation 01 @4, c1 participant 0a @4, c1 scope 1 @4; 3 of 3',
    'the receipt is new'
);
SELECT is(pg_temp.acknowledged('a', pg_temp.cursor_of('a')), '1', 'once more');
SELECT is(pg_temp.pulled('a'), '3 of 3', 'then nothing is');
SELECT is(pg_temp.acknowledged('a', pg_temp.cursor_of('a')), '0', 'and nothing moves');

-- What has changed
CREATE FUNCTION pg_temp.message_id(p_seq bigint)
RETURNS uuid
LANGUAGE sql
STABLE
AS $$
    SELECT message.id FROM roost.messages AS message
    WHERE message.conversation_id = '00000000-0000-7000-9000-000000000001'
        AND message.seq = p_seq;
$$;
SELECT pg_temp.on_device(
    'b', format('SELECT api.edit_message(%L, ''{"text": "y"}'', 1)', pg_temp.message_id(2))
);
SELECT pg_temp.on_device(
    'b', format('SELECT api.delete_message(%L)', pg_temp.message_id(1))
);
SELECT pg_temp.on_device(
    'b',
    format(
        'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', ''{"text": "z"}'','
        ' parent_message_id => %L)',
        pg_temp.message_id(3)
    )
);
SELECT is(
    pg_temp.pulled('a'),
    'c1 conversation 01 @7, c1 message 2 @5, c1 message 1 @6, c1 message 3 @7,'
    ' c1 participant 0b @7, c1 message 7 @7, c1 scope 1 @7; 3 of 3',
    'what changed of what it has, then what is new'
);
SELECT is(
    pg_temp.pulled('a', '2'),
    'c1 conversation 01 @7, c1 message 2 @5; 2 of 3; more',
    'a page of it'
);
SELECT is(
    pg_temp.acknowledged('a', pg_temp.cursor_of('a', '2')), '1', 'which is acknowledged by itself'
);
SELECT is(
    pg_temp.pulled('a'),
    'c1 conversation 01 @7, c1 message 1 @6, c1 message 3 @7, c1 participant 0b @7,'
    ' c1 message 7 @7, c1 scope 1 @7; 3 of 3',
    'and the next goes on behind it'
);
SELECT is(
    pg_temp.pulled('a', '4'),
    'c1 conversation 01 @7, c1 message 1 @6, c1 message 3 @7, c1 participant 0b @7; 2 of 3; more',
    'what came with one event comes together'
);
SELECT is(
    pg_temp.on_device(
        'a',
        $$
            SELECT concat_ws(' ', change -> 'value' -> 'content', change -> 'value' ->> 'version')
            FROM api.pull_changes() AS page, json_array_elements(page.changes) AS change
            WHERE change -> 'value' ->> 'seq' = '1'
        $$
    ),
    'null 2',
    'a deleted message is a tombstone'
);
CREATE TEMPORARY TABLE old_cursor AS SELECT pg_temp.cursor_of('a', '2') AS cursor;
SELECT is(pg_temp.acknowledged('a', pg_temp.cursor_of('a')), '1', 'up to the end');
SELECT is(
    pg_temp.acknowledged('a', (SELECT cursor FROM old_cursor)), '0', 'not backwards'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));

-- The person's own things
SELECT pg_temp.on_device('b', 'SELECT api.update_me(''Grace'')');
SELECT pg_temp.on_device('a', 'SELECT api.update_me(preferences => ''{"theme": "dark"}'')');
SELECT pg_temp.on_device('a', 'SELECT api.update_me(preferences => ''{"theme": "dark"}'')');
SELECT is(
    pg_temp.pulled('a'), 'ua account 0a @1, ua scope 1 @1; 3 of 3', 'the account, once'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000df',
    '00000000-0000-7000-8000-0000000000ef'
);
UPDATE roost.devices SET device_name = 'Tablet', device_type = 'tablet'
WHERE id = '00000000-0000-7000-8000-0000000000df';
UPDATE roost.devices SET last_seen = now() + interval '1 hour';
UPDATE roost.users SET last_login = now();
SELECT is(
    pg_temp.pulled('a'),
    'ua account 0a @1, ua device df @2, ua scope 1 @2; 3 of 3',
    'a device; that it was seen is no change'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
SELECT pg_temp.on_device(
    'a', 'SELECT api.revoke_device(''00000000-0000-7000-8000-0000000000df'')'
);
SELECT is(
    pg_temp.pulled('a'), 'ua device df @3, ua scope 1 @3; 3 of 3', 'a revoked device is still one'
);
DELETE FROM roost.sessions WHERE id = '00000000-0000-7000-8000-0000000000ef';
DELETE FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000df';
SELECT is(
    pg_temp.pulled('a'),
    'ua scope reset, ua device da @0, ua account 0a @1, ua scope 1 @4; 3 of 3',
    'of one that is gone nothing is left to say so: they come anew'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
UPDATE roost.users SET status = 'suspended' WHERE id = '00000000-0000-7000-8000-00000000000a';
UPDATE roost.users SET status = 'active' WHERE id = '00000000-0000-7000-8000-00000000000a';
SELECT results_eq(
    $$
        SELECT event.event, event.event_offset
        FROM realtime.events AS event
        WHERE event.topic = 'user:00000000-0000-7000-8000-00000000000a'
        ORDER BY event.event_offset
    $$,
    $$ VALUES
        ('account.updated', 1::bigint), ('device.updated', 2), ('device.revoked', 3),
        ('device.removed', 4), ('account.updated', 5), ('account.updated', 6) $$,
    'all of it was told in the inbox'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));

-- Access
SELECT is(
    pg_temp.pulled('c'),
    'uc scope reset, uc account 0c @0, uc device dc @0, uc scope 1 @0; 1 of 1',
    'an outsider has their own'
);
SELECT pg_temp.acknowledged('c', pg_temp.cursor_of('c'));
SELECT pg_temp.on_device(
    'a',
    'SELECT api.add_participant(''00000000-0000-7000-9000-000000000001'','
    ' ''00000000-0000-7000-8000-00000000000c'', history => ''from_now'')'
);
SELECT pg_temp.says('a', 1, 1);
SELECT is(
    pg_temp.pulled('c'),
    'uc scope 1 @1, c1 scope reset, c1 conversation 01 @10, c1 participant 0b @7,'
    ' c1 participant 0c @9, c1 participant 0a @10, c1 message 10 @10, c1 scope 9 @10; 2 of 2',
    'who is added gets what is theirs to see'
);
SELECT pg_temp.acknowledged('c', pg_temp.cursor_of('c'));
SELECT pg_temp.acknowledged('c', pg_temp.cursor_of('c'));
SELECT is(pg_temp.pulled('c'), '2 of 2', 'and that is all');
SELECT pg_temp.on_device(
    'a', format('SELECT api.add_reaction(%L, ''ok'')', pg_temp.message_id(3))
);
SELECT is(
    pg_temp.pulled('c'),
    'c1 conversation 01 @12, c1 scope 9 @12; 2 of 2',
    'what is hidden from them shows nothing'
);
SELECT pg_temp.acknowledged('c', pg_temp.cursor_of('c'));
SELECT pg_temp.on_device(
    'a',
    'SELECT api.remove_participant(''00000000-0000-7000-9000-000000000001'','
    ' ''00000000-0000-7000-8000-00000000000c'')'
);
SELECT is(
    pg_temp.pulled('c'), 'c1 scope remove, uc scope 1 @2; 1 of 1', 'who is removed loses it'
);
SELECT is(
    pg_temp.pulled('a', 'filter => ''{"conversations":'
    ' ["00000000-0000-7000-9000-000000000001"]}'''),
    'c1 conversation 01 @13, c1 participant 0a @10, c1 message 3 @12,'
    ' c1 participant remove 0c @13, c1 message 10 @10, c1 scope 1 @13; 2 of 2',
    'the others are told so'
);
SELECT is(pg_temp.acknowledged('c', pg_temp.cursor_of('c')), '2', 'taken in');
SELECT results_eq(
    $$ SELECT pg_temp.kept('c') $$, $$ VALUES ('uc 2 1 2 0 first') $$, 'nothing is kept of it'
);
SELECT is(
    pg_temp.acknowledged(
        'c',
        translate(
            encode(
                convert_to(
                    '{"version": 1, "device": "00000000-0000-7000-8000-0000000000dc",'
                    ' "epoch": "first", "generation": 0, "scopes":'
                    ' {"conversation:00000000-0000-7000-9000-000000000001": [1, 1, 1, 1, 0]},'
                    ' "progress": {"done": 1, "total": 2}}',
                    'UTF8'
                ),
                'base64'
            ),
            E'+/=\n', '-_'
        )
    ),
    '1',
    'what was lost before it was taken in is kept'
);
SELECT is(pg_temp.pulled('c'), 'c1 scope remove; 1 of 1', 'to say that it is lost');
SELECT is(pg_temp.acknowledged('c', pg_temp.cursor_of('c')), '1', 'which is taken in');

-- Few messages, and more on demand
SELECT pg_temp.says('a', 2, 60);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
DELETE FROM roost.sync_scopes
WHERE scope = 'conversation:00000000-0000-7000-9000-000000000002';
CREATE FUNCTION pg_temp.few(p_number integer)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT format(
        'filter => ''{"conversations": ["00000000-0000-7000-9000-000000000002"],'
        ' "messages": %s}''',
        p_number
    );
$$;
SELECT is(
    pg_temp.pulled('a', pg_temp.few(2)),
    'c2 scope reset, c2 conversation 02 @60, c2 participant 0a @60, c2 message 59 @59,'
    ' c2 message 60 @60, c2 scope 59 @60; 2 of 2',
    'the newest two'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a', pg_temp.few(2)));
SELECT is(pg_temp.pulled('a', pg_temp.few(2)), '2 of 2', 'that is enough');
SELECT is(
    pg_temp.pulled('a', pg_temp.few(4)),
    'c2 conversation 02 @60, c2 message 57 @57, c2 message 58 @58, c2 scope 57 @60; 2 of 2',
    'two more'
);
SELECT is(
    pg_temp.on_device(
        'a', format('SELECT api.edit_message(%L, ''{"text": "y"}'', 1)', (
            SELECT message.id FROM roost.messages AS message
            WHERE message.conversation_id = '00000000-0000-7000-9000-000000000002'
                AND message.seq = 5
        ))
    ) IS NOT NULL,
    true,
    'an older one is edited'
);
SELECT is(
    pg_temp.pulled('a', pg_temp.few(2)),
    'c2 conversation 02 @61, c2 scope 59 @61; 2 of 2',
    'which is nothing to a device that does not have it'
);
SELECT pg_temp.says('a', 2, 3);
SELECT is(
    pg_temp.pulled('a', pg_temp.few(2)),
    'c2 conversation 02 @64, c2 message remove_up_to 64, c2 participant 0a @64,'
    ' c2 message 63 @63, c2 message 64 @64, c2 scope 63 @64; 2 of 2',
    'after more than it wants it begins with the newest'
);
SELECT is(
    pg_temp.pulled('a', pg_temp.few(3)),
    'c2 conversation 02 @64, c2 participant 0a @64, c2 message 62 @62, c2 message 63 @63,'
    ' c2 message 64 @64, c2 scope 59 @64; 2 of 2',
    'after fewer it goes on'
);
SELECT is(
    pg_temp.pulled('a', pg_temp.few(0)),
    'c2 conversation 02 @64, c2 message remove_up_to 64, c2 participant 0a @64,'
    ' c2 scope 65 @64; 2 of 2',
    'or it wants none'
);
SELECT matches(
    pg_temp.pulled('a'),
    '^c2 conversation 02 @64, .* c2 message 64 @64, c2 message 14 @14, .* c2 scope 14 @64; .*more$',
    'without a filter the newest fifty come with it'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
SELECT matches(
    pg_temp.pulled('a'),
    '^c2 message 1 @1, .* c2 message 5 @61, .* c2 message 13 @13, c2 scope 1 @64; 3 of 3$',
    'and then the rest'
);
SELECT matches(
    pg_temp.pulled('a', '3'),
    '^c2 message 11 @11, .* c2 scope 11 @64; 2 of 3; more$',
    'page by page'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
SELECT is(pg_temp.pulled('a'), '3 of 3', 'until it has all');

-- A new log, and messages that are gone
UPDATE roost.messages SET created_at = now() - interval '2 days'
WHERE conversation_id = '00000000-0000-7000-9000-000000000002' AND seq <= 60;
UPDATE roost.conversations SET retention_days = 1
WHERE id = '00000000-0000-7000-9000-000000000002';
SELECT roost.expire_messages(1000);
SELECT is(
    pg_temp.pulled('a'),
    'c2 conversation 02 @65, c2 message remove_up_to 60, c2 scope 61 @65; 3 of 3',
    'what was too old goes'
);
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));

-- The checksum of the documentation
SELECT is(
    roost.thing_checksum('message', '00000000-0000-7000-a000-000000000001', 41),
    ('x' || left(encode(sha256('message:00000000-0000-7000-a000-000000000001:41'), 'hex'), 8))
    ::bit(32)::bigint,
    'a checksum'
);
CREATE FUNCTION pg_temp.verified(p_person text, p_arguments text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.on_device(
        p_person,
        format(
            'SELECT concat_ws('' '', last_offset, is_same, differing, changed)'
            ' FROM api.verify_scope(%s)',
            replace(p_arguments, 'c2', '''conversation:00000000-0000-7000-9000-000000000002''')
        )
    );
$$;
CREATE TEMPORARY TABLE held AS
SELECT
    jsonb_build_object(
        '0',
        (
            SELECT jsonb_build_array(
                count(*),
                sum(roost.thing_checksum('message', message.id, message.change_seq)) % 4294967296
            )
            FROM roost.messages AS message
            WHERE message.conversation_id = '00000000-0000-7000-9000-000000000002'
        ),
        'others',
        (
            SELECT jsonb_build_array(
                count(*),
                sum(
                    roost.thing_checksum('participant', participant.user_id, participant.change_seq)
                ) % 4294967296
            )
            FROM roost.conversation_participants AS participant
            WHERE participant.conversation_id = '00000000-0000-7000-9000-000000000002'
        ),
        '1', '[0, 0]'::jsonb
    ) AS buckets;
SELECT is(
    pg_temp.verified('a', format('c2, 65, 61, %L', (SELECT buckets FROM held))),
    '65 t {} {}', 'what it has is what there is'
);
SELECT is(
    pg_temp.verified('a', 'c2, 65, 61, ''{"0": [4, 1], "others": [2, 1]}'''),
    '65 f {0,others} {}', 'what parts is said'
);
SELECT is(
    pg_temp.verified('a', format('c2, 64, 59, %L', (SELECT buckets FROM held))),
    '65 f {} {0}', 'what it has not been told yet is not compared'
);
SELECT is(
    pg_temp.on_device(
        'a',
        $$
            SELECT concat_ws(' ', is_same, differing)
            FROM api.verify_scope(
                'user:00000000-0000-7000-8000-00000000000a', 6, 1, '{"others": [1, 1]}'
            )
        $$
    ),
    'f {others}', 'the inbox too'
);
SELECT throws_ok(
    format('SELECT pg_temp.verified(%L, %L)', refused.person, refused.arguments),
    refused.sqlstate, NULL, 'refused: ' || refused.arguments
)
FROM (
    VALUES
    ('b', 'c2, 65, 61, ''{}''', 'RO201'),
    ('a', '''app:x'', 65, 61, ''{}''', 'RO201'),
    ('a', 'NULL, 65, 61, ''{}''', 'RO201'),
    ('a', 'c2, -1, 61, ''{}''', 'RO302'),
    ('a', 'c2, 65, NULL, ''{}''', 'RO302'),
    ('a', 'c2, 65, 61, ''[]''', 'RO302'),
    ('a', 'c2, 65, 61, ''{"x": [1, 1]}''', 'RO302'),
    ('a', 'c2, 65, 61, ''{"0": 1}''', 'RO302')
) AS refused (person, arguments, sqlstate);

UPDATE realtime.log SET epoch = 'second';
SELECT matches(
    pg_temp.pulled('a'),
    '^ua scope reset, ua device .* c1 scope reset, c1 conversation .* c2 scope reset, c2 conv',
    'after a new epoch all of it comes anew'
);
SELECT is(pg_temp.acknowledged('a', pg_temp.cursor_of('a')), '3', 'and is taken in');
SELECT pg_temp.acknowledged('a', pg_temp.cursor_of('a'));
UPDATE roost.sync_scopes SET position = 1000, to_seq = 1000
WHERE scope = 'conversation:00000000-0000-7000-9000-000000000002';
SELECT matches(
    pg_temp.pulled('a'), '^c2 scope reset, c2 conversation .*; 3 of 3$', 'so it does from nowhere'
);
SELECT is(pg_temp.acknowledged('a', pg_temp.cursor_of('a')), '1', 'which is put right');

-- Too much at once
SELECT throws_ok(
    format(
        'SELECT pg_temp.pulled(%L, %L)',
        'a',
        format(
            'cursor => %L',
            translate(
                encode(
                    convert_to(
                        jsonb_build_object(
                            'version', 1,
                            'device', '00000000-0000-7000-8000-0000000000da',
                            'epoch', 'second', 'generation', 0,
                            'scopes',
                            (
                                SELECT jsonb_object_agg(
                                    'conversation:' || gen_random_uuid(), NULL::text
                                )
                                FROM generate_series(1, 1000)
                            ),
                            'progress', '{"done": 0, "total": 1000}'::jsonb
                        )::text,
                        'UTF8'
                    ),
                    'base64'
                ),
                E'+/=\n', '-_'
            )
        )
    ),
    'RO302', 'Too much was pulled without an acknowledgement.', 'a cursor does not grow for ever'
);

-- Nobody else's. The device is ada's.
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        'UPDATE roost.sync_scopes SET held_count = 9'
    ),
    3::bigint,
    'a device changes its own alone'
);
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        'SELECT count(*) FROM roost.sync_scopes'
    ),
    '3',
    'and sees its own alone'
);
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000a', refused.command),
    '42501', NULL, 'refused: ' || left(refused.command, 40)
)
FROM (
    VALUES
    (
        'INSERT INTO roost.sync_scopes'
        ' (device_id, scope, epoch, position, from_seq, to_seq, held_count)'
        ' VALUES (''00000000-0000-7000-8000-0000000000db'', ''x:1'', ''second'', 1, 1, 1, 1)'
    ),
    ('UPDATE roost.sync_scopes SET device_id = ''00000000-0000-7000-8000-0000000000db'''),
    ('UPDATE roost.sync_scopes SET scope = ''x:1''')
) AS refused (command);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000a', 'DELETE FROM roost.sync_scopes'
    ),
    3::bigint,
    'nor deletes any other'
);
SELECT results_eq(
    $$ SELECT pg_temp.kept('c') $$, $$ VALUES ('uc 2 1 2 0 first') $$, 'the others are as they were'
);
SELECT pg_temp.on_device(
    'c',
    'SELECT api.acknowledge_events(''{"user:00000000-0000-7000-8000-00000000000c": 1}'')'
);
-- Begun anew: what was known of the device is not, and what it has from before counts no more.
CREATE TEMPORARY TABLE before_reset AS
SELECT
    pg_temp.cursor_of('c') AS cursor,
    (SELECT array_agg(one) FROM pg_temp.kept('b') AS one) AS kept_of_another,
    (SELECT count(*) FROM pg_temp.kept('c')) AS number;
SELECT ok(number > 0, 'it is known how far the device has come') FROM before_reset;
SELECT is(pg_temp.on_device('c', 'SELECT api.reset_changes()'), '', 'a device begins anew');
SELECT is_empty('SELECT pg_temp.kept(''c'')', 'nothing is known of how far it had come');
SELECT is(
    (SELECT array_agg(one) FROM pg_temp.kept('b') AS one), kept_of_another,
    'of another device it is'
)
FROM before_reset;
SELECT throws_ok(
    format('SELECT pg_temp.pulled(%L, %L)', 'c', format('cursor => %L', cursor)),
    'RO403', 'The cursor is from before the device began anew.', 'an old cursor leads to no page'
)
FROM before_reset;
SELECT throws_ok(
    format('SELECT pg_temp.acknowledged(%L, %L)', 'c', cursor),
    'RO403', 'The cursor is from before the device began anew.', 'nor can it be acknowledged'
)
FROM before_reset;
SELECT lives_ok(
    'SELECT pg_temp.acknowledged(''c'', pg_temp.cursor_of(''c''))', 'a new one leads on'
);
SELECT is(
    (SELECT count(*) FROM pg_temp.kept('c')), number, 'and all scopes are there again'
)
FROM before_reset;
SELECT is(pg_temp.on_device('c', 'SELECT api.reset_changes()'), '', 'and anew once more');
SELECT is(
    (
        SELECT generation FROM roost.sync_devices
        WHERE device_id = '00000000-0000-7000-8000-0000000000dc'
    ),
    2::bigint, 'which is counted'
);
SELECT pg_temp.acknowledged('c', pg_temp.cursor_of('c'));
SELECT pg_temp.on_device(
    'c', 'SELECT api.revoke_device(''00000000-0000-7000-8000-0000000000dc'')'
);
SELECT is_empty(
    $$
        SELECT stored.scope FROM roost.sync_scopes AS stored
        UNION ALL
        SELECT cursor.topic FROM roost.device_cursors AS cursor
    $$,
    'of a revoked device nothing is kept'
);
SELECT throws_ok(
    format('SELECT pg_temp.on_device(''c'', %L)', called.query), 'RO302', NULL,
    'nor is it told anything: ' || called.query
)
FROM (
    VALUES
    ('SELECT api.pull_changes()'), ('SELECT api.ack_changes(''x'')'),
    ('SELECT api.reset_changes()')
) AS called (query);
DELETE FROM roost.users WHERE id = '00000000-0000-7000-8000-00000000000c';
SELECT is_empty(
    $$
        SELECT event.event FROM realtime.events AS event
        WHERE event.topic = 'user:00000000-0000-7000-8000-00000000000c'
            AND event.event = 'device.removed'
    $$,
    'with their person devices go without a word'
);

SELECT * FROM finish();

ROLLBACK;

-- Application topics: who may use which, rules of registered prefixes, publishing and broadcasting
-- by clients, large ephemeral events; each kind of caller, each refusal.
BEGIN;

SELECT plan(432);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
INSERT INTO roost.devices (id, user_id, status)
VALUES
('00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-00000000000a', 'active'),
('00000000-0000-7000-8000-0000000000d0', '00000000-0000-7000-8000-00000000000a', 'revoked');
INSERT INTO roost.conversations (id, user_id, archived_at)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', NULL),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', now());
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT conversation.id, participant.user_id::uuid, participant.role::roost.participant_role
FROM roost.conversations AS conversation
CROSS JOIN (
    VALUES
        ('00000000-0000-7000-8000-00000000000a', 'owner'),
        ('00000000-0000-7000-8000-00000000000b', 'viewer')
) AS participant (user_id, role);
UPDATE realtime.log SET epoch = 'first';

-- Rules, as an operator has them: functions of their own schema.
CREATE SCHEMA board;
GRANT USAGE ON SCHEMA board TO roost_owner;
CREATE TABLE board.members (topic text, user_id uuid, may text[]);
INSERT INTO board.members
VALUES
(
    'board:one', '00000000-0000-7000-8000-00000000000a', '{join,publish,broadcast}'
),
('board:one', '00000000-0000-7000-8000-00000000000b', '{join}');
GRANT SELECT ON board.members TO roost_owner;
CREATE FUNCTION board.may_use(topic text, action text)
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT may_use.action = ANY (member.may)
    FROM board.members AS member
    WHERE member.topic = may_use.topic AND member.user_id = roost.current_user_id();
$$;
CREATE FUNCTION board.fails(topic text, action text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    RAISE EXCEPTION 'no idea';
END;
$$;
CREATE FUNCTION board.says_nothing(topic text, action text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN NULL::boolean;
CREATE FUNCTION board."Says ""yes"""(topic text, action text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN true;
-- What can't be a rule.
CREATE FUNCTION board.writes(topic text, action text)
RETURNS boolean
LANGUAGE sql
VOLATILE
RETURN true;
CREATE FUNCTION board.answers_text(topic text, action text)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN 'true';
CREATE FUNCTION board.answers_many(topic text, action text)
RETURNS SETOF boolean
LANGUAGE sql
IMMUTABLE
AS 'VALUES (true), (true)';
CREATE FUNCTION board.takes_less(topic text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN true;
CREATE FUNCTION board.is_hidden(topic text, action text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN true;
REVOKE ALL ON FUNCTION board.is_hidden(text, text) FROM PUBLIC;
CREATE FUNCTION board.is_foreign(topic text, action text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN true;
GRANT CREATE ON SCHEMA board TO roost_gateway;
ALTER FUNCTION board.is_foreign(text, text) OWNER TO roost_gateway;

-- Who may call
SELECT throws_ok(
    calling(caller.role, '00000000-0000-7000-8000-00000000000a', called.query),
    '42501',
    NULL,
    format('%s may not: %s', caller.role, called.query)
)
FROM (
    VALUES
        ('SELECT realtime.can_join(''user:1'')', 'roost_api'),
        ('SELECT realtime.can_publish(''user:1'')', 'roost_api'),
        ('SELECT realtime.can_broadcast(''user:1'')', 'roost_api'),
        ('SELECT realtime.is_reserved_event(''user:1'', ''x'')', 'roost_api'),
        ('SELECT realtime.is_permitted(''user:1'', ''join'')', ''),
        ('SELECT realtime.topic_id(''user:1'')', 'roost_api'),
        ('SELECT realtime.find_rule_problem(''board'', ''may_use'')', ''),
        ('SELECT realtime.register_topic_prefix(''x'', 0::regprocedure)', ''),
        ('SELECT realtime.unregister_topic_prefix(''x'')', ''),
        ('SELECT realtime.send_broadcast(''user:1'', ''x'', ''{}'')', 'roost_api roost_user'),
        ('SELECT realtime.read_large_broadcast(NULL)', 'roost_gateway'),
        ('SELECT realtime.expire_large_broadcasts(1)', 'roost_gateway'),
        ('SELECT realtime.publish_once(''user:1'', ''x'', ''{}'', gen_random_uuid())', 'roost_api'),
        ('SELECT realtime.expire_client_event_ids(1)', 'roost_gateway'),
        ('SELECT api.publish_event(''user:1'', ''x'', ''{}'')', 'roost_api roost_user'),
        ('SELECT api.broadcast_event(''user:1'', ''x'', ''{}'')', 'roost_api roost_user'),
        ('TABLE realtime.topic_prefixes', ''),
        ('TABLE realtime.large_broadcasts', ''),
        ('TABLE realtime.client_event_ids', '')
) AS called (query, allowed)
JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway'), ('roost_api')
) AS caller (role) ON (caller.role = ANY (string_to_array(called.allowed, ' '))) IS NOT TRUE;

-- Registering
SELECT throws_ok(
    format(
        'SELECT realtime.register_topic_prefix(%L, %L::regprocedure)', refused.prefix, refused.rule
    ),
    refused.sqlstate,
    NULL,
    format('not registered: %s with %s', refused.prefix, refused.rule)
)
FROM (
    VALUES
        ('board', 'board.writes(text, text)', 'RO302'),
        ('board', 'board.answers_text(text, text)', 'RO302'),
        ('board', 'board.answers_many(text, text)', 'RO302'),
        ('board', 'board.takes_less(text)', 'RO302'),
        ('board', 'board.is_hidden(text, text)', 'RO302'),
        ('board', 'board.is_foreign(text, text)', 'RO302'),
        ('board', '0', 'RO302'),
        ('Board', 'board.may_use(text, text)', '23514'),
        ('board:one', 'board.may_use(text, text)', '23514'),
        ('', 'board.may_use(text, text)', '23514'),
        (repeat('b', 51), 'board.may_use(text, text)', '23514'),
        (NULL, 'board.may_use(text, text)', '23502'),
        ('app', 'board.may_use(text, text)', '23514'),
        ('conversation', 'board.may_use(text, text)', '23514'),
        ('device', 'board.may_use(text, text)', '23514'),
        ('project', 'board.may_use(text, text)', '23514'),
        ('user', 'board.may_use(text, text)', '23514'),
        ('workspace', 'board.may_use(text, text)', '23514')
) AS refused (prefix, rule, sqlstate);
SELECT is_empty('TABLE realtime.topic_prefixes', 'and nothing is');
SELECT lives_ok(
    format(
        'SELECT realtime.register_topic_prefix(%L, %L::regprocedure)', made.prefix, made.rule
    ),
    format('registered: %s with %s', made.prefix, made.rule)
)
FROM (
    VALUES
        ('board', 'board.fails(text, text)'),
        ('board', 'board.may_use(text, text)'),
        ('broken', 'board.fails(text, text)'),
        ('silent', 'board.says_nothing(text, text)'),
        (repeat('o', 50), 'board."Says ""yes"""(text, text)')
) AS made (prefix, rule);
SELECT results_eq(
    $$
        SELECT prefix, format('%I.%I', rule_schema, rule_name)
        FROM realtime.topic_prefixes
        ORDER BY prefix COLLATE "C"
    $$,
    $$ VALUES
        ('board', 'board.may_use'),
        ('broken', 'board.fails'),
        (repeat('o', 50), 'board."Says ""yes"""'),
        ('silent', 'board.says_nothing')
    $$,
    'the last rule of a prefix is kept, by its name'
);

-- Who may do what
CREATE TEMPORARY TABLE person (name text PRIMARY KEY, id uuid);
INSERT INTO person
VALUES
('ada', '00000000-0000-7000-8000-00000000000a'),
('grace', '00000000-0000-7000-8000-00000000000b'),
('an outsider', '00000000-0000-7000-8000-00000000000c'),
('nobody', NULL);
CREATE FUNCTION pg_temp.rights(p_name text, p_topic text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(action.name, ' ')
    FROM person
    CROSS JOIN (VALUES ('join'), ('publish'), ('broadcast')) AS action (name)
    WHERE person.name = p_name
        AND as_caller(
            'roost_api', person.id, format('SELECT realtime.can_%s(%L)', action.name, p_topic)
        )::boolean;
$$;
SELECT is(
    pg_temp.rights(person.name, asked.topic),
    asked.rights ->> person.name,
    format(
        '%s may do in %s: %s', person.name, coalesce(asked.topic, 'NULL'),
        coalesce(asked.rights ->> person.name, 'nothing')
    )
)
FROM person
CROSS JOIN (
    VALUES
        (
            'app:00000000-0000-7000-8000-00000000000a:notes',
            '{"ada": "join publish broadcast"}'::jsonb
        ),
        (
            'app:00000000-0000-7000-8000-00000000000b:' || repeat('n', 100),
            '{"grace": "join publish broadcast"}'
        ),
        (
            'app:00000000-0000-7000-8000-00000000000a:A/b.c@d:e-f_1',
            '{"ada": "join publish broadcast"}'
        ),
        ('app:00000000-0000-7000-8000-00000000000a:' || repeat('n', 101), '{}'),
        ('app:00000000-0000-7000-8000-00000000000a:', '{}'),
        ('app:00000000-0000-7000-8000-00000000000a', '{}'),
        ('app:00000000-0000-7000-8000-00000000000a:a b', '{}'),
        ('app:00000000-0000-7000-8000-00000000000A:a', '{}'),
        ('app:notes', '{}'),
        ('app::notes', '{}'),
        ('board:one', '{"ada": "join publish broadcast", "grace": "join"}'),
        ('board:two', '{}'),
        ('board:', '{}'),
        ('board', '{}'),
        (E'board:one\n', '{}'),
        ('broken:one', '{}'),
        ('silent:one', '{}'),
        (
            repeat('o', 50) || ':' || repeat('ü', 200),
            '{"ada": "join publish broadcast", "grace": "join publish broadcast",'
            ' "an outsider": "join publish broadcast"}'
        ),
        (repeat('o', 50) || ':' || repeat('ü', 201), '{}'),
        ('unknown:one', '{}'),
        -- A viewer hears, and says nothing.
        (
            'conversation:00000000-0000-7000-9000-000000000001',
            '{"ada": "join broadcast", "grace": "join"}'
        ),
        -- It is archived.
        (
            'conversation:00000000-0000-7000-9000-000000000002', '{"ada": "join", "grace": "join"}'
        ),
        ('conversation:00000000-0000-7000-9000-0000000000ff', '{}'),
        ('conversation:one', '{}'),
        ('user:00000000-0000-7000-8000-00000000000a', '{"ada": "join broadcast"}'),
        -- Heard on that device alone.
        ('device:00000000-0000-7000-8000-0000000000da', '{"ada": "broadcast"}'),
        -- It was revoked.
        ('device:00000000-0000-7000-8000-0000000000d0', '{}'),
        ('workspace:00000000-0000-7000-8000-00000000000a', '{}'),
        ('realtime:board:one', '{}'),
        ('', '{}'),
        (NULL, '{}')
) AS asked (topic, rights);

-- A rule that stops being one
SELECT is(
    realtime.find_rule_problem(prefix.rule_schema, prefix.rule_name),
    NULL,
    format('nothing is wrong with %s', prefix.rule_name)
)
FROM realtime.topic_prefixes AS prefix;
SELECT is(
    realtime.find_rule_problem('board', wrong.name) ~ wrong.problem,
    true,
    format('what is wrong with %s is said', wrong.name)
)
FROM (
    VALUES
        ('gone', 'no such function'),
        ('takes_less', 'no such function'),
        ('answers_text', 'one boolean'),
        ('answers_many', 'one boolean'),
        ('writes', 'VOLATILE'),
        ('is_foreign', 'owner'),
        ('is_hidden', 'GRANT|grant')
) AS wrong (name, problem);
SELECT is(
    realtime.find_rule_problem('nowhere', 'may_use'), 'There is no such function.', 'nor elsewhere'
);
DROP FUNCTION board.may_use(text, text);
SELECT is(
    pg_temp.rights('ada', 'board:one'), NULL, 'a rule that was dropped lets nobody in'
);
CREATE FUNCTION board.may_use(topic text, action text)
RETURNS boolean
LANGUAGE sql
STABLE
RETURN action <> 'publish';
SELECT is(
    pg_temp.rights('grace', 'board:one'), 'join broadcast', 'one that is there again is asked again'
);
ALTER FUNCTION board.may_use(text, text) OWNER TO roost_gateway;
SELECT is(
    pg_temp.rights('grace', 'board:one'), NULL, 'one that was handed to a stranger is not'
);
SELECT lives_ok(
    $$ SELECT realtime.register_topic_prefix('board', 'board."Says ""yes"""(text, text)') $$,
    'another rule is registered'
);
SELECT is(
    pg_temp.rights('an outsider', 'board:one'), 'join publish broadcast', 'and asked at once'
);
SELECT is(realtime.unregister_topic_prefix('silent'), true, 'a prefix is given up');
SELECT is(realtime.unregister_topic_prefix('silent'), false, 'once');
SELECT is(realtime.unregister_topic_prefix(NULL), false, 'NULL is none');

-- is_reserved_event
SELECT is(
    as_caller(
        'roost_api', NULL,
        format('SELECT realtime.is_reserved_event(%L, %L)', asked.topic, asked.event)
    )::boolean,
    asked.reserved,
    format(
        '%s is %s in %s',
        coalesce(asked.event, 'NULL'),
        CASE WHEN asked.reserved THEN 'the server''s' ELSE 'free' END,
        coalesce(asked.topic, 'NULL')
    )
)
FROM (
    SELECT topic.name, event.name, true
    FROM (
        VALUES ('conversation:1'), ('user:1'), ('device:1'), ('workspace:1'), ('project:1')
    ) AS topic (name)
    CROSS JOIN (
        VALUES
            ('message.created'),
            ('message.whatever_comes'),
            ('participant.removed'),
            ('conversation.updated'),
            ('device.revoked'),
            ('device_message.sent'),
            ('presence'),
            ('presence_state'),
            ('presence.changed'),
            ('typing'),
            ('typing.started'),
            ('reaction'),
            ('receipt'),
            ('hidden'),
            ('must_refetch'),
            ('phx_close')
    ) AS event (name)
    UNION ALL
    SELECT topic.name, event.name, false
    FROM (VALUES ('conversation:1'), ('app:1:x'), ('board:1')) AS topic (name)
    CROSS JOIN (
        VALUES
            ('cursor'),
            ('messages'),
            ('message'),
            ('typings'),
            ('Message.created'),
            ('my.typing')
    ) AS event (name)
    UNION ALL
    VALUES
        ('app:1:x', 'message.created', false),
        ('board:1', 'typing', false),
        ('app:1:x', 'presence', false),
        ('app:1:x', 'presence_diff', true),
        ('board:1', 'hidden', true),
        ('board:1', 'must_refetch', true),
        ('board:1', 'phx_reply', true),
        (NULL, 'x', true),
        ('app:1:x', NULL, true)
) AS asked (topic, event, reserved);

-- publish_event
SELECT throws_ok(
    calling(
        'roost_user',
        sent.person::uuid,
        format('SELECT api.publish_event(%L, %L, %L)', sent.topic, sent.event, sent.payload)
    ),
    sent.sqlstate,
    NULL,
    'not published: ' || sent.why
)
FROM (
    VALUES
        (
            NULL, 'app:00000000-0000-7000-8000-00000000000a:notes', 'saved', '{}', 'RO101',
            'by nobody'
        ),
        (
            '00000000-0000-7000-8000-00000000000b',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'saved', '{}', 'RO401',
            'to somebody else''s topic'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'conversation:00000000-0000-7000-9000-000000000001', 'saved', '{}', 'RO401',
            'to a conversation'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'user:00000000-0000-7000-8000-00000000000a', 'saved', '{}', 'RO401', 'to an inbox'
        ),
        ('00000000-0000-7000-8000-00000000000a', NULL, 'saved', '{}', 'RO401', 'to no topic'),
        (
            '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'must_refetch', '{}', 'RO401',
            'an event of the protocol'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', NULL, '{}', 'RO401', 'no event'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'Saved', '{}', '23514',
            'an event in capitals'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'saved',
            to_json(repeat('x', 65535))::text, 'RO302', 'more than 64 KiB'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'saved', '[1e131071]', 'RO302',
            'a long number, shortly written'
        )
) AS sent (person, topic, event, payload, sqlstate, why);
SELECT is_empty('SELECT FROM realtime.events', 'and nothing is in the log');
SELECT is_empty('SELECT FROM realtime.topics', 'nor has a topic an offset');
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT row_to_json(made) FROM api.publish_event(%L, %L, %L) AS made',
            sent.topic, 'saved', sent.payload
        )
    )::jsonb,
    jsonb_build_object('topic', sent.topic, 'offset', sent.offset_, 'epoch', 'first'),
    format('published to %s as %s', sent.topic, sent.offset_)
)
FROM (
    VALUES
        ('app:00000000-0000-7000-8000-00000000000a:notes', '{"n": 1}', 1),
        ('app:00000000-0000-7000-8000-00000000000a:notes', NULL, 2),
        ('app:00000000-0000-7000-8000-00000000000a:notes', to_json(repeat('x', 65534))::text, 3),
        ('app:00000000-0000-7000-8000-00000000000a:other', '[]', 1),
        ('board:one', '"text"', 1)
) AS sent (topic, payload, offset_);
SELECT results_eq(
    $$
        SELECT topic, event_offset, event, left(payload::text, 10), actor_id
        FROM realtime.events
        ORDER BY topic COLLATE "C", event_offset
    $$,
    $$
        SELECT
            stored.topic, stored.offset_, 'saved', stored.payload,
            '00000000-0000-7000-8000-00000000000a'::uuid
        FROM (
            VALUES
                ('app:00000000-0000-7000-8000-00000000000a:notes', 1::bigint, '{"n": 1}'),
                ('app:00000000-0000-7000-8000-00000000000a:notes', 2, 'null'),
                ('app:00000000-0000-7000-8000-00000000000a:notes', 3, '"xxxxxxxxx'),
                ('app:00000000-0000-7000-8000-00000000000a:other', 1, '[]'),
                ('board:one', 1, '"text"')
        ) AS stored (topic, offset_, payload)
    $$,
    'each is in the log, with who published it'
);

-- publish_event with an id of the client's
CREATE FUNCTION pg_temp.publish(p_topic text, p_event text, p_payload text)
RETURNS text
LANGUAGE sql
RETURN format(
    'SELECT "offset" FROM api.publish_event('
    '%L, %L, %L, ''00000000-0000-7000-b000-000000000001'')',
    p_topic, p_event, p_payload
);
SELECT is(
    as_caller(
        'roost_user', sent.person::uuid,
        pg_temp.publish(sent.topic, 'sent', sent.payload)
    ),
    sent.offset_,
    'with an id: ' || sent.what
)
FROM (
    VALUES
        (
            1, '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', '{"a": 1, "b": 2}', '4', 'published'
        ),
        (
            2, '00000000-0000-7000-8000-00000000000a',
            'app:00000000-0000-7000-8000-00000000000a:notes', '{"b":2,"a":1}', '4', 'sent again'
        ),
        (
            3, '00000000-0000-7000-8000-00000000000b',
            'app:00000000-0000-7000-8000-00000000000b:notes', '{"b": 2}', '1', 'somebody else''s'
        )
) AS sent (place, person, topic, payload, offset_, what)
ORDER BY sent.place;
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        pg_temp.publish(sent.topic, sent.event, sent.payload)
    ),
    'RO301',
    NULL,
    'an id stands for one event: another ' || sent.what
)
FROM (
    VALUES
        (
            'app:00000000-0000-7000-8000-00000000000a:other', 'sent', '{"a": 1, "b": 2}', 'topic'
        ),
        (
            'app:00000000-0000-7000-8000-00000000000a:notes', 'gone', '{"a": 1, "b": 2}', 'event'
        ),
        (
            'app:00000000-0000-7000-8000-00000000000a:notes', 'sent', '{"a": 1, "b": 3}', 'payload'
        )
) AS sent (topic, event, payload, what);
SELECT results_eq(
    $$
        SELECT topic, event_offset, event FROM realtime.events
        WHERE event IN ('sent', 'gone')
        ORDER BY topic COLLATE "C"
    $$,
    $$ VALUES
        ('app:00000000-0000-7000-8000-00000000000a:notes', 4::bigint, 'sent'),
        ('app:00000000-0000-7000-8000-00000000000b:notes', 1::bigint, 'sent')
    $$,
    'each is in the log once'
);
INSERT INTO realtime.client_event_ids (
    actor_id, id, topic, event_offset, request_hash, created_at
)
SELECT
    '00000000-0000-7000-8000-00000000000a', gen_random_uuid(), 'board:one', step.number, '\x00',
    now() - interval '7 days'
FROM generate_series(1, 3) AS step (number);
SELECT is(
    as_caller(
        'roost_gateway', NULL, format('SELECT realtime.expire_client_event_ids(%s)', step.number)
    ),
    step.answer,
    format('expire_client_event_ids(%s) answers %s', step.number, coalesce(step.answer, 'NULL'))
)
FROM (
    VALUES (1, '1', '1'), (2, '1', '1'), (3, '4', '0'), (4, '4', '0'), (5, 'NULL', NULL)
) AS step (place, number, answer)
ORDER BY step.place;
SELECT is((SELECT count(*) FROM realtime.client_event_ids), 2::bigint, 'what is younger is left');

-- send_broadcast and broadcast_event
SELECT set_config('roost.gateway', 'on', true), set_config('roost.touched', '', true);
SELECT throws_ok(
    calling(
        'roost_user', sent.person::uuid, format(way.query, sent.topic, sent.event, sent.payload)
    ),
    sent.sqlstate,
    NULL,
    format('%s: not %s', left(way.query, 23), sent.why)
)
FROM (
    VALUES
        ('SELECT realtime.send_broadcast(%L, %L, %L)'),
        ('SELECT api.broadcast_event(%L, %L, %L)')
) AS way (query)
CROSS JOIN (
    VALUES
        (
            NULL, 'app:00000000-0000-7000-8000-00000000000a:notes', 'cursor', '{}', 'RO101',
            'by nobody'
        ),
        (
            '00000000-0000-7000-8000-00000000000b',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'cursor', '{}', 'RO401',
            'to somebody else''s topic'
        ),
        (
            '00000000-0000-7000-8000-00000000000b',
            'conversation:00000000-0000-7000-9000-000000000001', 'cursor', '{}', 'RO401',
            'by a viewer'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'conversation:00000000-0000-7000-9000-000000000002', 'cursor', '{}', 'RO401',
            'in the archive'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'conversation:00000000-0000-7000-9000-000000000001', 'message.created', '{}', 'RO401',
            'what the server says'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'user:00000000-0000-7000-8000-00000000000a', 'device.revoked', '{}', 'RO401',
            'what the server says in an inbox'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'user:00000000-0000-7000-8000-00000000000a', 'a b', '{}', 'RO302',
            'an event with a space'
        ),
        (
            '00000000-0000-7000-8000-00000000000a',
            'user:00000000-0000-7000-8000-00000000000a', 'cursor',
            to_json(repeat('x', 262143))::text, 'RO302', 'more than 256 KiB'
        )
) AS sent (person, topic, event, payload, sqlstate, why);
SELECT is(current_setting('roost.touched'), '', 'and nobody hears of it');
SELECT is_empty('TABLE realtime.large_broadcasts', 'nor is anything kept');
CREATE FUNCTION pg_temp.line(p_query text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('roost.touched', '', true);
    PERFORM as_caller('roost_user', '00000000-0000-7000-8000-00000000000a', p_query);
    RETURN replace(current_setting('roost.touched'), E'\t', '|');
END;
$$;
SELECT is(
    pg_temp.line(format(way.query, sent.topic, 'Cursor', sent.payload)),
    format('~%s|Cursor|%s', sent.topic, sent.line),
    format('%s: to %s', left(way.query, 23), sent.topic)
)
FROM (
    VALUES
        ('SELECT realtime.send_broadcast(%L, %L, %L)'),
        ('SELECT api.broadcast_event(%L, %L, %L)')
) AS way (query)
CROSS JOIN (
    VALUES
        ('app:00000000-0000-7000-8000-00000000000a:notes', '{"x":1}', '{"x": 1}'),
        ('conversation:00000000-0000-7000-9000-000000000001', '[]', '[]'),
        ('user:00000000-0000-7000-8000-00000000000a', '"@text"', '"@text"'),
        ('device:00000000-0000-7000-8000-0000000000da', 'null', 'null'),
        ('board:one', '1', '1')
) AS sent (topic, payload, line);
SELECT is(
    pg_temp.line($$ SELECT api.broadcast_event('board:one', 'x', NULL) $$), '~board:one|x|null',
    'null in a call is the JSON value'
);
SELECT is_empty('TABLE realtime.large_broadcasts', 'what fits in a line is kept nowhere');

-- Large ones
CREATE TEMPORARY TABLE sent AS
SELECT
    size.bytes,
    pg_temp.line(
        format(
            'SELECT api.broadcast_event(%L, %L, %L)',
            'app:00000000-0000-7000-8000-00000000000a:notes', 'drawing',
            to_json(repeat('x', size.bytes - 2))
        )
    ) AS line
FROM (VALUES (4096), (4097), (262144)) AS size (bytes);
SELECT is(
    sent.line ~ '\|drawing\|@[0-9a-f-]{36}$', sent.bytes > 4096,
    format('of %s bytes the line has %s', sent.bytes, left(split_part(sent.line, '|', 3), 1))
)
FROM sent;
SELECT is(
    as_caller(
        'roost_gateway', NULL,
        format(
            'SELECT payload FROM realtime.read_large_broadcast(%L)', split_part(sent.line, '|@', 2)
        )
    ),
    to_json(repeat('x', sent.bytes - 2))::text,
    format('the payload of %s bytes is found by it', sent.bytes)
)
FROM sent
WHERE sent.bytes > 4096;
SELECT results_eq(
    'SELECT topic, event, octet_length(payload::text) FROM realtime.large_broadcasts ORDER BY id',
    $$
        SELECT 'app:00000000-0000-7000-8000-00000000000a:notes', 'drawing', bytes
        FROM (VALUES (4097), (262144)) AS kept (bytes)
    $$,
    'which is kept'
);
SELECT is(
    as_caller(
        'roost_gateway', NULL, 'SELECT realtime.read_large_broadcast(gen_random_uuid())'
    ),
    NULL,
    'what has gone is NULL'
);
SELECT set_config('roost.gateway', '', true);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.broadcast_event(%L, %L, %L)',
            repeat('o', 50) || ':' || repeat('ü', 200), repeat('x', 100),
            to_json(repeat('x', 10000))
        )
    ),
    'a large one of the longest name fits in a notification'
);

-- expire_large_broadcasts
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT realtime.expire_large_broadcasts(9)'), '0',
    'what was sent just now is kept'
);
SELECT is((SELECT count(*) FROM realtime.large_broadcasts), 3::bigint, 'all of it');
UPDATE realtime.large_broadcasts SET created_at = now() - interval '1 minute'
WHERE octet_length(payload::text) > 5000;
INSERT INTO realtime.large_broadcasts (topic, event, payload, created_at)
VALUES ('board:one', 'x', '{}', now() - interval '1 hour');
SELECT is(
    as_caller(
        'roost_gateway', NULL, format('SELECT realtime.expire_large_broadcasts(%s)', step.number)
    ),
    step.answer,
    format('expire_large_broadcasts(%s) answers %s', step.number, coalesce(step.answer, 'NULL'))
)
FROM (
    VALUES (1, '1', '1'), (2, '2', '0'), (3, '4', '0'), (4, 'NULL', NULL)
) AS step (place, number, answer)
ORDER BY step.place;
SELECT results_eq(
    'SELECT octet_length(payload::text) FROM realtime.large_broadcasts', 'VALUES (4097)',
    'what is younger than a minute is left'
);

SELECT * FROM finish();

ROLLBACK;

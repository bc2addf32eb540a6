-- Event subscriptions: what a person wants to get on which device, and in which order it decides;
-- each kind of caller, each refusal.
BEGIN;

SELECT plan(81);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
INSERT INTO roost.devices (id, user_id, status)
VALUES
('00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-00000000000a', 'active'),
('00000000-0000-7000-8000-0000000000db', '00000000-0000-7000-8000-00000000000a', 'active'),
('00000000-0000-7000-8000-0000000000d0', '00000000-0000-7000-8000-00000000000a', 'revoked'),
('00000000-0000-7000-8000-0000000000dc', '00000000-0000-7000-8000-00000000000b', 'active');
INSERT INTO roost.conversations (id, user_id)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000b');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT id, user_id, 'owner' FROM roost.conversations;
-- What is announced is then found in roost.touched, as by the server.
SELECT set_config('roost.gateway', 'on', true), set_config('roost.touched', '', true);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);

-- Who may call
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, called.query),
    caller.sqlstate,
    NULL,
    format('%s may not: %s', caller.name, called.query)
)
FROM (
    VALUES
        ('roost_anon', NULL, '42501', 'a stranger'),
        ('roost_service', NULL, '42501', 'a service'),
        ('roost_user', NULL, 'RO101', 'nobody')
) AS caller (role, id, sqlstate, name)
CROSS JOIN (
    VALUES
        ('SELECT api.set_event_subscription(''none'')'),
        ('SELECT api.list_event_subscriptions()'),
        ('SELECT api.delete_event_subscription(gen_random_uuid())'),
        ('SELECT realtime.get_subscriptions()')
) AS called (query);
SELECT throws_ok(
    calling(called.role, '00000000-0000-7000-8000-00000000000a', called.query),
    '42501',
    NULL,
    format('%s may not: %s', called.role, called.query)
)
FROM (
    VALUES
        ('roost_gateway', 'SELECT realtime.get_subscriptions()'),
        ('roost_api', 'SELECT realtime.get_subscriptions()'),
        ('roost_user', 'TABLE roost.event_subscriptions'),
        ('roost_gateway', 'TABLE roost.event_subscriptions'),
        ('roost_user', 'SELECT roost.subscription_rank(NULL)'),
        ('roost_user', 'SELECT roost.describe_event_subscription(NULL)')
) AS called (role, query);

-- What is refused
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.set_event_subscription(%L, %L, %L, %L)',
            sent.delivery, sent.topic, sent.event, sent.device
        )
    ),
    sent.sqlstate,
    NULL,
    'not set: ' || sent.why
)
FROM (
    VALUES
        (NULL, NULL, NULL, NULL, '23502', 'nothing said'),
        ('some', NULL, NULL, NULL, '22P02', 'something unknown said'),
        (
            'none', 'conversation:00000000-0000-7000-9000-000000000002', NULL, NULL, 'RO401',
            'about somebody else''s conversation'
        ),
        ('none', 'conversation:', NULL, NULL, 'RO401', 'about no proper topic'),
        ('none', '', NULL, NULL, 'RO401', 'about an empty topic'),
        ('none', NULL, '', NULL, '23514', 'about an empty event'),
        ('none', NULL, '*', NULL, '23514', 'about an event that is a star'),
        ('none', NULL, '.*', NULL, '23514', 'about a family without a name'),
        ('none', NULL, 'message*', NULL, '23514', 'about a family without a dot'),
        ('none', NULL, 'message.*.x', NULL, '23514', 'about a star in between'),
        ('none', NULL, 'a b', NULL, '23514', 'about an event with a space'),
        ('none', NULL, repeat('x', 101), NULL, '23514', 'about a long event'),
        (
            'none', NULL, NULL, '00000000-0000-7000-8000-0000000000dc', 'RO201',
            'for somebody else''s device'
        ),
        (
            'none', NULL, NULL, '00000000-0000-7000-8000-0000000000d0', 'RO201',
            'for a revoked device'
        ),
        (
            'none', NULL, NULL, '00000000-0000-7000-8000-0000000000ff', 'RO201', 'for no device'
        )
) AS sent (delivery, topic, event, device, sqlstate, why);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        $$
            INSERT INTO roost.event_subscriptions (user_id, device_id, delivery)
            VALUES (
                '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000dc',
                'none'
            )
        $$
    ),
    '23503',
    NULL,
    'nor could it be for somebody else''s device without a look'
);
SELECT is_empty('TABLE roost.event_subscriptions', 'and nothing is set');
SELECT is(current_setting('roost.touched'), '', 'nor was anybody told so');
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a', 'SELECT realtime.get_subscriptions()'
    ),
    '[]',
    'without a rule there is an empty list'
);

-- Setting, in an order that is not the one in which they decide
CREATE TEMPORARY TABLE said (
    place bigint, device text, topic text, event text, delivery text
);
INSERT INTO said
VALUES
(16, NULL, NULL, NULL, 'all'),
(15, NULL, NULL, 'message.*', 'silent'),
(14, NULL, NULL, 'message.part.*', 'all'),
(13, NULL, NULL, 'message.created', 'none'),
(12, NULL, 'conversation:00000000-0000-7000-9000-000000000001', NULL, 'none'),
(11, NULL, 'conversation:00000000-0000-7000-9000-000000000001', 'x.*', 'all'),
(10, NULL, 'conversation:00000000-0000-7000-9000-000000000001', repeat('x', 100) || '.*', 'all'),
(9, NULL, 'conversation:00000000-0000-7000-9000-000000000001', 'x', 'all'),
(8, 'da', NULL, NULL, 'silent'),
(7, 'da', NULL, 'message.*', 'none'),
(6, 'da', NULL, 'Cursor', 'none'),
(5, 'da', 'user:00000000-0000-7000-8000-00000000000a', NULL, 'all'),
(4, 'da', 'user:00000000-0000-7000-8000-00000000000a', 'conversation.*', 'none'),
(3, 'da', 'user:00000000-0000-7000-8000-00000000000a', 'conversation.added', 'all'),
-- These are not for the device that asks.
(2, 'db', 'app:00000000-0000-7000-8000-00000000000a:notes', 'saved', 'none'),
(1, 'db', 'app:00000000-0000-7000-8000-00000000000a:notes', 'a.long.name.of.an.event', 'none');
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT to_jsonb(made) - ''{id,created_at,updated_at}''::text[]'
            ' FROM api.set_event_subscription(%L, %L, %L, %L) AS made',
            said.delivery, said.topic, said.event,
            '00000000-0000-7000-8000-0000000000' || said.device
        )
    )::jsonb,
    jsonb_build_object(
        'device_id', '00000000-0000-7000-8000-0000000000' || said.device,
        'topic', said.topic,
        'event', said.event,
        'delivery', said.delivery
    ),
    format('set: rule %s', said.place)
)
FROM said
ORDER BY said.place DESC;
SELECT is(
    (
        SELECT array_agg(DISTINCT line)
        FROM regexp_split_to_table(current_setting('roost.touched'), E'\n') AS line
    ),
    ARRAY['!subscriptions:00000000-0000-7000-8000-00000000000a'],
    'the servers are told whose they are'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a', 'SELECT realtime.get_subscriptions()'
    )::jsonb,
    (
        SELECT jsonb_agg(
            jsonb_build_object(
                'topic', said.topic, 'event', said.event, 'delivery', said.delivery
            )
            ORDER BY said.place
        )
        FROM said
        WHERE said.device = 'da' OR said.device IS NULL
    ),
    'the server gets what is for the calling device, in the order in which it decides'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b', 'SELECT realtime.get_subscriptions()'
    ),
    '[]',
    'and nothing of somebody else''s'
);
CREATE FUNCTION pg_temp.listed(p_person text, p_device text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT as_caller(
        'roost_user', ('00000000-0000-7000-8000-00000000000' || p_person)::uuid,
        format(
            $query$
                SELECT string_agg(
                    concat_ws(' ', right(device_id::text, 2), topic, event, delivery),
                    E'\n' ORDER BY number
                )
                FROM api.list_event_subscriptions(%L) WITH ORDINALITY
                    AS rule (id, device_id, topic, event, delivery, created_at, updated_at, number)
            $query$,
            '00000000-0000-7000-8000-0000000000' || p_device
        )
    );
$$;
SELECT is(
    pg_temp.listed('a', 'da'),
    (
        SELECT string_agg(
            concat_ws(' ', said.device, said.topic, said.event, said.delivery),
            E'\n' ORDER BY said.place
        )
        FROM said
        WHERE said.device IS NULL OR said.device = 'da'
    ),
    'list_event_subscriptions has them in that order too'
);
SELECT is(
    array_length(string_to_array(pg_temp.listed('a', asked.device), E'\n'), 1),
    asked.number,
    format('list_event_subscriptions of %s has %s', coalesce(asked.device, 'all'), asked.number)
)
FROM (VALUES (NULL, 16), ('da', 14), ('db', 10), ('dc', 8)) AS asked (device, number);
SELECT is(pg_temp.listed('b', NULL), NULL, 'nobody else has any');

-- Saying something else
CREATE FUNCTION pg_temp.say(p_delivery text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('roost.touched', '', true);
    PERFORM as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.set_event_subscription(%L, event => ''message.*'')', p_delivery)
    );
    RETURN current_setting('roost.touched');
END;
$$;
ALTER TABLE roost.event_subscriptions DISABLE TRIGGER event_subscriptions_set_updated_at;
UPDATE roost.event_subscriptions SET updated_at = now() - interval '1 day';
ALTER TABLE roost.event_subscriptions ENABLE TRIGGER event_subscriptions_set_updated_at;
SELECT is(pg_temp.say('silent'), '', 'whoever says the same again tells nobody');
SELECT is(
    (SELECT count(*) FROM roost.event_subscriptions WHERE updated_at = now()), 0::bigint,
    'and nothing has changed'
);
SELECT is(
    pg_temp.say('all'), '!subscriptions:00000000-0000-7000-8000-00000000000a',
    'whoever says something else tells the servers'
);
SELECT results_eq(
    $$
        SELECT event, delivery FROM roost.event_subscriptions WHERE updated_at = now()
    $$,
    $$ VALUES ('message.*', 'all'::roost.event_delivery) $$,
    'that rule has changed'
);
SELECT is((SELECT count(*) FROM roost.event_subscriptions), 16::bigint, 'and none came to be');

-- A session on another device is told what holds there.
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000ea'
);
SELECT set_config('roost.touched', '', true);
UPDATE roost.sessions SET device_id = '00000000-0000-7000-8000-0000000000db';
SELECT is(
    current_setting('roost.touched'), '!subscriptions:00000000-0000-7000-8000-00000000000a',
    'a session that moves to another device has others'
);

-- Deleting
SELECT throws_ok(
    calling(
        'roost_user', caller.id::uuid,
        format('SELECT api.delete_event_subscription(%L)', caller.rule)
    ),
    'RO201',
    NULL,
    format('not deleted: %s', caller.why)
)
FROM (
    SELECT
        '00000000-0000-7000-8000-00000000000b', id::text, 'somebody else''s rule ' || id
    FROM roost.event_subscriptions
    WHERE device_id IS NULL AND event = 'message.*'
    UNION ALL
    VALUES
        (
            '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000ff', 'none'
        ),
        ('00000000-0000-7000-8000-00000000000a', NULL, 'NULL')
) AS caller (id, rule, why);
SELECT is((SELECT count(*) FROM roost.event_subscriptions), 16::bigint, 'all are there');
SELECT set_config('roost.touched', '', true);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.delete_event_subscription(%L)', rule.id)
    ),
    'deleted: one of the caller''s'
)
FROM roost.event_subscriptions AS rule
WHERE rule.device_id IS NULL AND rule.event = 'message.*';
SELECT is(
    current_setting('roost.touched'), '!subscriptions:00000000-0000-7000-8000-00000000000a',
    'the servers are told so'
);
SELECT is_empty(
    $$ SELECT FROM roost.event_subscriptions WHERE device_id IS NULL AND event = 'message.*' $$,
    'it is gone'
);
SELECT set_config('roost.touched', '', true);
DELETE FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000db';
SELECT is(
    (SELECT count(*) FROM roost.event_subscriptions), 13::bigint, 'a device takes its own along'
);

-- Not more than 200
DELETE FROM roost.event_subscriptions;
INSERT INTO roost.event_subscriptions (user_id, event, delivery)
SELECT '00000000-0000-7000-8000-00000000000a', 'e' || number, 'none'
FROM generate_series(1, 199) AS number;
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.set_event_subscription(''none'')'
    ),
    'the 200th is set'
);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.set_event_subscription(''all'')'
    ),
    'and set again'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.set_event_subscription(''none'', event => ''x'')'
    ),
    'RO302',
    NULL,
    'the 201st is refused'
);
SELECT is((SELECT count(*) FROM roost.event_subscriptions), 200::bigint, 'and is not there');
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        'SELECT api.set_event_subscription(''none'', event => ''x'')'
    ),
    'others have their own 200'
);

SELECT * FROM finish();

ROLLBACK;

-- Inboxes: which topics are heard in one, what grants them, and where a device goes on; replays by
-- time, which every topic has. How rights end live is for tests/test_inbox.py.
BEGIN;

SELECT plan(46);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
UPDATE realtime.log SET epoch = 'first';

CREATE FUNCTION pg_temp.call(p_user_id uuid, p_query text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$ SELECT as_caller('roost_user', p_user_id, p_query); $$;

-- Everything that an inbox answers, the conversations by the number in their title.
CREATE FUNCTION pg_temp.joined(p_user_id uuid, p_arguments text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT as_caller(
        'roost_user',
        p_user_id,
        format(
            $query$
                SELECT string_agg(
                    concat_ws(
                        ' ',
                        coalesce(conversation.title, 'inbox'), joined.last_offset,
                        joined.visible_after, coalesce(joined.replay_after::text, '-'),
                        CASE WHEN joined.is_gone THEN 'gone' END
                    ),
                    ', ' ORDER BY coalesce(conversation.title, '')
                )
                FROM realtime.join_topic('user:%s'%s) AS joined
                LEFT JOIN api.list_conversations() AS conversation
                    ON joined.topic = 'conversation:' || conversation.id
            $query$,
            p_user_id,
            p_arguments
        )
    );
$$;

CREATE TEMPORARY TABLE made AS
SELECT
    step.number,
    pg_temp.call(
        '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT id FROM api.create_conversation(%L, %L)',
            step.number,
            CASE
                WHEN step.number <> 2 THEN ARRAY['00000000-0000-7000-8000-00000000000b'::uuid]
                ELSE '{}'
            END
        )
    ) AS id
FROM generate_series(1, 3) AS step (number);

SELECT results_eq(
    $$
        SELECT event.topic, event.event, made.number, event.grants_after
        FROM realtime.events AS event
        LEFT JOIN made ON event.grants_topic = 'conversation:' || made.id
        ORDER BY event.topic, event.event_offset
    $$,
    $$ VALUES
        ('user:00000000-0000-7000-8000-00000000000a', 'conversation.added', 1, 0::bigint),
        ('user:00000000-0000-7000-8000-00000000000a', 'conversation.added', 2, 0),
        ('user:00000000-0000-7000-8000-00000000000a', 'conversation.added', 3, 0),
        ('user:00000000-0000-7000-8000-00000000000b', 'conversation.added', 1, 0),
        ('user:00000000-0000-7000-8000-00000000000b', 'conversation.added', 3, 0) $$,
    'a new conversation is granted in the inboxes of all who are in it'
);

SELECT realtime.publish('conversation:' || made.id, 'note.made', '{}')
FROM made
CROSS JOIN generate_series(1, 2 + made.number) AS step;

SELECT is(
    pg_temp.joined('00000000-0000-7000-8000-00000000000a', ''),
    'inbox 3 0 -, 1 3 0 -, 2 4 0 -, 3 5 0 -',
    'from now on, in all conversations'
);
SELECT is(
    pg_temp.joined('00000000-0000-7000-8000-00000000000b', ''),
    'inbox 2 0 -, 1 3 0 -, 3 5 0 -',
    'and in no others'
);
SELECT is(
    pg_temp.joined('00000000-0000-7000-8000-00000000000b', ', 2'),
    'inbox 2 0 2, 1 3 0 -, 3 5 0 -',
    'nothing was granted behind the offset'
);
SELECT is(
    pg_temp.joined('00000000-0000-7000-8000-00000000000b', ', 1'),
    'inbox 2 0 1, 1 3 0 -, 3 5 0 0',
    'what was granted behind it is replayed from there'
);
SELECT is(
    pg_temp.joined(
        '00000000-0000-7000-8000-00000000000b',
        format(
            ', 1, ''first'', %L',
            (
                SELECT jsonb_object_agg('conversation:' || made.id, made.number + 1)
                FROM made
            )
        )
    ),
    'inbox 2 0 1, 1 3 0 2, 3 5 0 4',
    'or from what the device has; of topics that are not theirs nothing is said'
);
SELECT is(
    pg_temp.joined(
        '00000000-0000-7000-8000-00000000000b',
        format(
            ', NULL, NULL, %L',
            (SELECT jsonb_build_object('conversation:' || made.id, 3) FROM made WHERE number = 1)
        )
    ),
    'inbox 2 0 -, 1 3 0 3, 3 5 0 -',
    'a device that has all of a topic, and of the inbox says nothing'
);
SELECT is(
    pg_temp.joined(
        '00000000-0000-7000-8000-00000000000b',
        format(
            ', NULL, NULL, %L',
            (SELECT jsonb_build_object('conversation:' || made.id, 4) FROM made WHERE number = 1)
        )
    ),
    'inbox 2 0 -, 1 3 0 4 gone, 3 5 0 -',
    'an offset that there is not'
);

DELETE FROM realtime.events AS event
USING made
WHERE event.topic = 'conversation:' || made.id AND made.number = 3 AND event.event_offset = 2;

SELECT is(
    pg_temp.joined(
        '00000000-0000-7000-8000-00000000000b',
        format(
            ', NULL, NULL, %L',
            (
                SELECT jsonb_build_object('conversation:' || made.id, asked.after)
                FROM made
                WHERE number = 3
            )
        )
    ),
    format('inbox 2 0 -, 1 3 0 -, 3 5 0 %s', asked.answer),
    format('behind %s', asked.after)
)
FROM (VALUES (0, '0'), (1, '1 gone'), (2, '2'), (5, '5')) AS asked (after, answer);

SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT realtime.join_topic(''user:00000000-0000-7000-8000-00000000000a'', %s)',
            asked.arguments
        )
    ),
    asked.sqlstate,
    NULL,
    format('refused: %s', asked.arguments)
)
FROM (
    VALUES
    ('NULL, ''second'', ''{}''', 'RO403'),
    ('0, ''second''', 'RO403'),
    ('4, NULL, ''{}''', 'RO402')
) AS asked (arguments, sqlstate);

-- Who may read what changes
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(changed.query, (SELECT made.id FROM made WHERE made.number = changed.number))
    ),
    changed.query
)
FROM (
    VALUES
    (1, 'SELECT api.delete_conversation(%L)'),
    (
        2,
        'SELECT api.add_participant(%L, ''00000000-0000-7000-8000-00000000000b'','
        ' history => ''from_now'')'
    ),
    (
        3,
        'SELECT api.remove_participant(%L, ''00000000-0000-7000-8000-00000000000b'')'
    )
) AS changed (number, query);
SELECT is(
    pg_temp.joined('00000000-0000-7000-8000-00000000000b', ', 2'),
    'inbox 5 0 2, 2 5 4 4',
    'nothing of a deleted conversation, nor of one that they were removed from; what they were'
    ' added to begins with that'
);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.restore_conversation(%L)', made.id)
    ),
    'restored'
)
FROM made
WHERE made.number = 1;
SELECT is(
    pg_temp.joined('00000000-0000-7000-8000-00000000000b', ', 5'),
    'inbox 6 0 5, 1 5 0 4, 2 5 4 -',
    'a restored conversation goes on behind its deletion'
);

-- By what was there at the first join: the events of an offset are of a transaction whose id is 100
-- more, the first ones are from before there were any. Tokens have such ids, too.
UPDATE realtime.events AS event
SET xid = CASE WHEN event.event_offset > 1 THEN (100 + event.event_offset)::text::xid8 END;

CREATE FUNCTION pg_temp.resumed(p_number integer, p_arguments text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT pg_temp.call(
        '00000000-0000-7000-8000-00000000000b',
        format(
            $query$
                SELECT concat_ws(' ', joined.replay_after, CASE WHEN joined.is_gone THEN 'gone' END)
                FROM realtime.join_topic(
                    'user:00000000-0000-7000-8000-00000000000b', p_epoch => 'first', %s
                ) AS joined
                WHERE joined.topic = %L
            $query$,
            p_arguments,
            coalesce(
                (SELECT 'conversation:' || made.id FROM made WHERE made.number = p_number),
                'user:00000000-0000-7000-8000-00000000000b'
            )
        )
    );
$$;

SELECT is(
    pg_temp.resumed(asked.number, asked.arguments),
    asked.answer,
    format('conversation %s: %s', asked.number, asked.arguments)
)
FROM (
    VALUES
    -- Of the inbox, 0, the device knows the first two events.
    (0, 'p_resume => ''103''', '2'),
    (0, 'p_resume => ''103'', p_after => 6', '6'),
    (
        0,
        'p_resume => ''103'','
        ' p_positions => ''{"user:00000000-0000-7000-8000-00000000000b": 1}''',
        '1'
    ),
    -- What was restored goes on from where it was left, not from where it was restored.
    (1, 'p_resume => ''103''', '2'),
    (1, 'p_resume => ''104''', '3'),
    (1, 'p_resume => ''200''', '5'),
    -- A transaction that was open may commit behind those with greater ids.
    (1, 'p_resume => ''200.105''', '4'),
    (1, 'p_resume => ''200.104.105''', '3'),
    (1, 'p_resume => ''101''', '1'),
    -- What was added since begins there, whether the device knows of it or not.
    (2, 'p_resume => ''103''', '4'),
    (2, 'p_resume => ''103'', p_after => 6', '4')
) AS asked (number, arguments, answer);
SELECT is(
    pg_temp.resumed(
        1,
        format(
            'p_resume => ''103'', p_positions => %L',
            (SELECT jsonb_build_object('conversation:' || made.id, 4) FROM made WHERE number = 1)
        )
    ),
    '4',
    'an offset says more'
);
DELETE FROM realtime.events AS event
USING made
WHERE event.topic = 'conversation:' || made.id AND made.number = 1 AND event.event_offset < 4;
UPDATE realtime.events AS event
SET grants_topic = NULL
FROM made
WHERE event.grants_topic = 'conversation:' || made.id AND made.number = 2;
SELECT is(
    pg_temp.resumed(asked.number, format('p_resume => %L', asked.token)),
    asked.answer,
    format('conversation %s behind %s, when the first events are gone', asked.number, asked.token)
)
FROM (
    VALUES
    (1, '105', '4'), (1, '104', '0 gone'),
    -- Nothing is due from before they were added.
    (2, '103', '4')
) AS asked (number, token, answer);
SELECT matches(
    pg_temp.call(
        '00000000-0000-7000-8000-00000000000a',
        'SELECT string_agg(resume, '' '')'
        ' FROM realtime.join_topic(''user:00000000-0000-7000-8000-00000000000a'')'
    ),
    '^[0-9]+([.][0-9]+)*$',
    'a join answers a token, once'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT realtime.join_topic(''user:00000000-0000-7000-8000-00000000000a'','
            ' p_epoch => %L, p_resume => %L)',
            refused.epoch, refused.token
        )
    ),
    refused.sqlstate,
    NULL,
    format('refused: %s of %s', refused.token, refused.epoch)
)
FROM (
    VALUES
    ('first', 'x', 'RO302'), ('first', '9.8.9', 'RO302'), ('second', '9', 'RO403'),
    ('first', '99999999999999999', 'RO403')
) AS refused (epoch, token, sqlstate);

-- By time, in any topic
UPDATE realtime.events AS event
SET created_at = now() - interval '1 day' * (6 - event.event_offset)
FROM made
WHERE event.topic = 'conversation:' || made.id;
SELECT is(
    pg_temp.call(
        asked.user_id::uuid,
        format(
            'SELECT coalesce(replay_after::text, ''-'') FROM realtime.join_topic('
            '%L, p_since => now() - interval ''%s days'', p_limit => %s)',
            'conversation:' || made.id, asked.days, asked.most
        )
    ),
    asked.answer,
    format('of the last %s days %s at most', asked.days, asked.most)
)
FROM (
    VALUES
    (2, '00000000-0000-7000-8000-00000000000a', 9, 25, '0'),
    (2, '00000000-0000-7000-8000-00000000000a', 2, 25, '3'),
    (2, '00000000-0000-7000-8000-00000000000a', 9, 1, '4'),
    (2, '00000000-0000-7000-8000-00000000000a', 0, 25, '-'),
    (2, '00000000-0000-7000-8000-00000000000b', 9, 25, '4')
) AS asked (number, user_id, days, most, answer)
JOIN made ON made.number = asked.number;

SELECT * FROM finish();

ROLLBACK;

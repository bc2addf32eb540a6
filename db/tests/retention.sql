-- Retention: messages go when they are older than their conversation keeps them, and with them all
-- that hangs on them and what the log says of them.
BEGIN;

SELECT plan(44);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
INSERT INTO roost.conversations (
    id, user_id, last_seq, last_number, retention_days, deleted_at, purged_at
)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 6, 6, 10, NULL,
    NULL
),
-- For ever.
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 2, 2, NULL,
    NULL, NULL
),
-- Its rows go in another way.
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 2, 2, 1, now(),
    now()
),
-- It may be restored, but not with what is too old.
(
    '00000000-0000-7000-9000-000000000004', '00000000-0000-7000-8000-00000000000a', 3, 2, 30,
    now(), NULL
),
-- Nothing of it is so old.
(
    '00000000-0000-7000-9000-000000000005', '00000000-0000-7000-8000-00000000000a', 2, 2, 36500,
    NULL, NULL
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, suspended, read_number)
SELECT
    conversation.id, person.id::uuid, person.role::roost.participant_role,
    conversation.deleted_at IS NOT NULL, person.read_number
FROM roost.conversations AS conversation
CROSS JOIN (
    VALUES
    ('00000000-0000-7000-8000-00000000000a', 'owner', 2),
    ('00000000-0000-7000-8000-00000000000b', 'member', 0)
) AS person (id, role, read_number);
INSERT INTO roost.messages (
    id, conversation_id, seq, number, user_id, content, metadata, parent_message_id, created_at
)
SELECT
    ('00000000-0000-7000-a000-0000000000' || sent.conversation || sent.seq)::uuid,
    ('00000000-0000-7000-9000-00000000000' || sent.conversation)::uuid,
    sent.seq,
    sent.seq,
    '00000000-0000-7000-8000-00000000000a',
    '{"text": "a secret for @grace@example.com"}',
    '{"secret": true}',
    ('00000000-0000-7000-a000-00000000001' || sent.parent)::uuid,
    now() - sent.days * interval '1 day'
FROM (
    VALUES
    (1, 1, 30, NULL),
    (1, 2, 20, NULL),
    (1, 3, 11, 1),
    (1, 4, 9, 3),
    -- An older transaction that got the lock later: it stays as long as the one before it.
    (1, 5, 40, NULL),
    (1, 6, 0, 4),
    (2, 1, 4000, NULL),
    (2, 2, 3000, NULL),
    (3, 1, 40, NULL),
    (3, 2, 30, NULL),
    (4, 1, 40, NULL),
    (4, 2, 31, NULL),
    (5, 1, 4000, NULL),
    (5, 2, 3000, NULL)
) AS sent (conversation, seq, days, parent)
ORDER BY sent.conversation, sent.seq;
INSERT INTO realtime.events (topic, event_offset, event, payload)
SELECT
    'conversation:' || message.conversation_id, message.seq, 'message.created',
    row_to_json(roost.describe_message(message))
FROM roost.messages AS message;
INSERT INTO roost.message_attachments (
    message_id, conversation_id, seq, place, name, media_type, size, url
)
SELECT message.id, message.conversation_id, message.seq, 1, 'secret', 'a/b', 1, 'https://a.example'
FROM roost.messages AS message;
-- What was written lately about old messages: offset 7 is a reaction to the second, 8 one to the
-- fourth, 9 an edit of the third, 10 a receipt.
INSERT INTO roost.message_reactions (message_id, user_id, reaction)
VALUES (
    '00000000-0000-7000-a000-000000000012', '00000000-0000-7000-8000-00000000000b', '+1'
);
INSERT INTO roost.message_reactions (message_id, user_id, reaction)
VALUES (
    '00000000-0000-7000-a000-000000000014', '00000000-0000-7000-8000-00000000000b', '+1'
);
UPDATE roost.messages SET content = '{"text": "another secret"}'
WHERE id = '00000000-0000-7000-a000-000000000013';
SELECT is(
    realtime.publish(
        'conversation:00000000-0000-7000-9000-000000000001', 'receipt', '{"last_read_seq": 2}'
    ),
    10::bigint,
    'there are ten events'
);

-- Who may
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, 'SELECT ' || made.call),
    '42501',
    NULL,
    format('%s: not for %s', made.call, caller.role)
)
FROM (
    VALUES
    ('roost_anon', NULL),
    ('roost_user', '00000000-0000-7000-8000-00000000000a'),
    ('roost_service', NULL),
    ('roost_api', '00000000-0000-7000-8000-00000000000a')
) AS caller (role, id)
CROSS JOIN (
    VALUES
    ('roost.expire_messages(1)'),
    ('roost.redact_gone(''00000000-0000-7000-9000-000000000001'', ''{}'', now())')
) AS made (call);
SELECT throws_ok(
    $$
        SELECT as_caller(
            'roost_gateway', NULL,
            'SELECT roost.redact_gone(''00000000-0000-7000-9000-000000000001'', ''{}'', now())'
        )
    $$,
    '42501',
    NULL,
    'nor redact_gone for roost_gateway'
);
SELECT is((SELECT count(*) FROM roost.messages), 14::bigint, 'and nothing is gone');
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.expire_messages(%s)', few.number)),
    few.answer,
    format('nothing is asked of expire_messages(%s)', few.number)
)
FROM (VALUES ('0', '0'), ('NULL', NULL)) AS few (number, answer);

-- Step by step, with what is left of those that may expire
CREATE TEMPORARY VIEW left_over AS
SELECT string_agg(right(message.id::text, 2), ' ' ORDER BY message.id) AS ids
FROM roost.messages AS message
WHERE right(message.id::text, 2) NOT BETWEEN '20' AND '39';
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_messages(1)'),
    '1',
    'one goes'
);
SELECT is((SELECT ids FROM left_over), '12 13 14 15 16 41 42 51 52', 'of which this is left');
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_messages(2)'),
    '2',
    'two more'
);
SELECT is((SELECT ids FROM left_over), '14 15 16 41 42 51 52', 'of which this is left');
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_messages(1)'),
    '1',
    'one of the next conversation'
);
SELECT is((SELECT ids FROM left_over), '14 15 16 42 51 52', 'of which this is left');
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_messages(5)'),
    '0',
    'and the last; then nothing is due'
);
SELECT is((SELECT ids FROM left_over), '14 15 16 51 52', 'of which this is left');
SELECT is(
    (SELECT count(*) FROM roost.messages WHERE right(id::text, 2) BETWEEN '20' AND '39'),
    4::bigint,
    'and what is kept for ever or purged elsewhere'
);
SELECT results_eq(
    $$
        SELECT
            topic, event_offset, payload ->> 'conversation_id', payload ->> 'up_to_seq',
            payload ->> 'left_count', actor_id
        FROM realtime.events
        WHERE event = 'message.expired'
        ORDER BY topic, event_offset
    $$,
    $$
        SELECT
            'conversation:' || told.conversation, told.event_offset, told.conversation,
            told.up_to_seq, told.left_count, NULL::uuid
        FROM (
            VALUES
            ('00000000-0000-7000-9000-000000000001', 11::bigint, '1', '5'),
            ('00000000-0000-7000-9000-000000000001', 12::bigint, '3', '3'),
            ('00000000-0000-7000-9000-000000000004', 4::bigint, '1', '1'),
            ('00000000-0000-7000-9000-000000000004', 5::bigint, '2', '0')
        ) AS told (conversation, event_offset, up_to_seq, left_count)
    $$,
    'each time its conversation was told how far, and how many are left'
);

-- What hangs on them
SELECT results_eq(
    $$
        SELECT seq, right(parent_message_id::text, 2), right(root_message_id::text, 2)
        FROM roost.messages
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
        ORDER BY seq
    $$,
    $$ VALUES (4::bigint, NULL, NULL), (5::bigint, NULL, NULL), (6::bigint, '14', NULL) $$,
    'replies to what is gone stay, and begin anew'
);
SELECT is_empty(
    $$
        SELECT hanging.message_id
        FROM (
            SELECT message_id FROM roost.message_changes
            UNION ALL
            SELECT message_id FROM roost.message_reactions
            UNION ALL
            SELECT message_id FROM roost.message_attachments
            UNION ALL
            SELECT message_id FROM roost.message_mentions
        ) AS hanging
        WHERE hanging.message_id NOT IN (SELECT message.id FROM roost.messages AS message)
    $$,
    'nothing is left of what is gone'
);
SELECT is(
    (
        SELECT count(*)
        FROM roost.message_changes
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
    ),
    3::bigint,
    'and what is left is whole'
);
SELECT results_eq(
    'SELECT right(id::text, 1), expired_number FROM roost.conversations ORDER BY id',
    $$ VALUES ('1', 3::bigint), ('2', 0), ('3', 0), ('4', 2), ('5', 0) $$,
    'it is known how many went'
);
SELECT is(
    as_caller(
        'roost_user', caller.id::uuid,
        $$
            SELECT (unread).unread_count
            FROM unnest((api.get_unread_counts()).conversations) AS unread
            WHERE (unread).conversation_id = '00000000-0000-7000-9000-000000000001'
        $$
    ),
    '3',
    'so nobody has them to read, as ' || caller.name
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000a', 'one who had read two'),
    ('00000000-0000-7000-8000-00000000000b', 'one who had read nothing')
) AS caller (id, name);

-- What the log says
SELECT is_empty(
    $$
        SELECT event.topic, event.event_offset, event.payload
        FROM realtime.events AS event
        WHERE event.topic IN (
                'conversation:00000000-0000-7000-9000-000000000001',
                'conversation:00000000-0000-7000-9000-000000000004'
            )
            AND event.payload::text LIKE '%secret%'
            AND coalesce(event.about_offset, event.event_offset) NOT IN (4, 5, 6)
    $$,
    'the stored events say nothing of what is gone'
);
SELECT results_eq(
    $$
        SELECT
            event_offset, event, payload ->> 'seq', payload ->> 'content',
            payload ->> 'version', payload ->> 'deleted_at' IS NOT NULL,
            payload ->> 'purged_at' IS NOT NULL, payload ->> 'attachments'
        FROM realtime.events
        WHERE topic = 'conversation:00000000-0000-7000-9000-000000000001'
            AND event LIKE 'message.%'
            AND coalesce(about_offset, event_offset) = 3
        ORDER BY event_offset
    $$,
    $$ VALUES
        (3::bigint, 'message.created', '3', NULL, '2', true, true, '[]'),
        (9::bigint, 'message.updated', '3', NULL, '2', true, true, '[]')
    $$,
    'but that it was there, and what became of it'
);
SELECT results_eq(
    $$
        SELECT event_offset, payload::jsonb - 'message_id' - 'conversation_id'
        FROM realtime.events
        WHERE topic = 'conversation:00000000-0000-7000-9000-000000000001'
            AND event IN ('reaction', 'receipt')
        ORDER BY event_offset
    $$,
    $$ VALUES
        (
            7::bigint,
            '{"seq": 2, "user_id": null, "reaction": null, "added": false, "reactions": []}'::jsonb
        ),
        (
            8::bigint,
            '{
                "seq": 4, "user_id": "00000000-0000-7000-8000-00000000000b", "reaction": "+1",
                "added": true, "reactions": [{
                    "reaction": "+1", "count": 1,
                    "user_ids": ["00000000-0000-7000-8000-00000000000b"]
                }]
            }'::jsonb
        ),
        (10::bigint, '{"last_read_seq": 2}'::jsonb)
    $$,
    'nor who reacted to it; of others they say what they said'
);

-- Piece by piece: more events than there is time for
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, content, created_at)
VALUES (
    '00000000-0000-7000-a000-000000000057', '00000000-0000-7000-9000-000000000005', 7, 3,
    '00000000-0000-7000-8000-00000000000a',
    '{"text": "a secret"}', now()
);
INSERT INTO realtime.events (topic, event_offset, event, payload, about_offset)
SELECT
    'conversation:' || message.conversation_id, 100 + change.number, 'message.updated',
    row_to_json(roost.describe_message(message)), message.seq
FROM roost.messages AS message
CROSS JOIN generate_series(1, 250) AS change (number)
WHERE message.conversation_id = '00000000-0000-7000-9000-000000000005' AND message.seq = 7;
CREATE FUNCTION pg_temp.redact()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(
        ' ',
        roost.redact_gone(
            '00000000-0000-7000-9000-000000000005',
            ARRAY(
                SELECT roost.describe_gone(message)
                FROM roost.messages AS message
                WHERE message.conversation_id = '00000000-0000-7000-9000-000000000005'
                    AND message.seq = 7
            ),
            '-infinity'
        )
    );
$$;
SELECT is(
    ARRAY[pg_temp.redact(), pg_temp.redact(), pg_temp.redact(), pg_temp.redact()],
    '{f,f,f,t}',
    'each call does a piece, and no call what one before it did'
);
SELECT is_empty(
    $$
        SELECT event_offset FROM realtime.events
        WHERE about_offset = 7 AND payload::text LIKE '%secret%'
    $$,
    'until all is done'
);

-- What takes its time: each command below takes longer than a call has
CREATE FUNCTION pg_temp.take_time()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_sleep(0.6);
    RETURN NULL;
END;
$$;
UPDATE roost.conversations SET retention_days = NULL;
UPDATE roost.conversations SET retention_days = 1
WHERE id = '00000000-0000-7000-9000-000000000001';
UPDATE roost.messages SET created_at = now() - interval '2 days'
WHERE conversation_id = '00000000-0000-7000-9000-000000000001';
UPDATE roost.messages SET content = '{"text": "one more secret"}'
WHERE id = '00000000-0000-7000-a000-000000000015';
CREATE TRIGGER take_time AFTER UPDATE ON realtime.events
FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.take_time();
SELECT is(roost.expire_messages(100), 100::bigint, 'first their events');
SELECT is((SELECT ids FROM left_over), '14 15 16 51 52 57', 'while they are there');
DROP TRIGGER take_time ON realtime.events;
CREATE TRIGGER take_time AFTER DELETE ON roost.message_changes
FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.take_time();
SELECT is(roost.expire_messages(100), 100::bigint, 'then what they were');
SELECT is(
    (
        SELECT array_agg(change_type::text ORDER BY change_type)
        FROM roost.message_changes
        WHERE message_id = '00000000-0000-7000-a000-000000000015'
    ),
    '{updated}',
    'but for their newest change'
);
DROP TRIGGER take_time ON roost.message_changes;

-- One conversation in which it fails
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
WHEN (old.conversation_id = '00000000-0000-7000-9000-000000000001')
EXECUTE FUNCTION pg_temp.refuse();
UPDATE roost.conversations SET retention_days = 1
WHERE id = '00000000-0000-7000-9000-000000000005';
SELECT is(roost.expire_messages(100), 0::bigint, 'a conversation in which it fails is passed by');
SELECT is((SELECT ids FROM left_over), '14 15 16 57', 'and the next one is done');
DROP TRIGGER refuse ON roost.messages;
SELECT is(roost.expire_messages(100), 0::bigint, 'it is tried again');
SELECT is((SELECT ids FROM left_over), '57', 'and done');

-- Rows that an operator deletes, or that go with a person
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000021';
SELECT results_eq(
    $$
        SELECT event_offset, payload::text LIKE '%secret%', payload ->> 'purged_at' IS NOT NULL
        FROM realtime.events
        WHERE topic = 'conversation:00000000-0000-7000-9000-000000000002'
        ORDER BY event_offset
    $$,
    'VALUES (1::bigint, false, true), (2, true, false), (3, false, false)',
    'a row that an operator deletes is in no stored event'
);
DELETE FROM roost.users WHERE id = '00000000-0000-7000-8000-00000000000a';
SELECT is_empty(
    $$
        SELECT topic, event_offset FROM realtime.events
        WHERE payload::text LIKE '%secret%'
            AND topic <> 'conversation:00000000-0000-7000-9000-000000000003'
    $$,
    'nor is what goes with a person'
);

SELECT * FROM finish();

ROLLBACK;

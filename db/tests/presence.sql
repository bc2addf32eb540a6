-- Presence: who is typing; each kind of caller, each refusal.
BEGIN;

SELECT plan(51);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'viewer@example.com');
INSERT INTO roost.devices (id, user_id)
VALUES
('00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-8000-0000000000db', '00000000-0000-7000-8000-00000000000b'),
('00000000-0000-7000-8000-0000000000dc', '00000000-0000-7000-8000-00000000000b');
INSERT INTO roost.conversations (id, user_id, archived_at)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', NULL),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', now()),
('00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', NULL);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'member'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000d', 'viewer'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 'owner'
);
-- What is broadcast is then found in roost.touched, as by the server.
SELECT set_config('roost.gateway', 'on', true);

-- set_typing: who may
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        format('SELECT api.set_typing(%L, %s)', caller.conversation, made.typing)
    ),
    caller.sqlstate,
    NULL,
    format('set_typing %s: not for %s', made.typing, caller.name)
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
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        '00000000-0000-7000-9000-000000000001', 'RO202', 'a viewer'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-9000-000000000002', 'RO203', 'anyone in the archive'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-9000-0000000000ff', 'RO201', 'anyone in no conversation'
    )
) AS caller (role, id, conversation, sqlstate, name)
CROSS JOIN (VALUES ('true'), ('false')) AS made (typing);
SELECT throws_ok(
    format(
        $$
            SELECT set_config('roost.device_id', %L, true), as_caller(
                'roost_user', '00000000-0000-7000-8000-00000000000a',
                'SELECT api.set_typing(''00000000-0000-7000-9000-000000000001'')'
            )
        $$,
        wrong.device
    ),
    'RO302',
    NULL,
    'nor for a session ' || wrong.name
)
FROM (
    VALUES
    ('', 'without a device'),
    ('00000000-0000-7000-8000-0000000000ff', 'whose device is gone')
) AS wrong (device, name);
SELECT is_empty('SELECT * FROM roost.typing_indicators', 'and nobody types');
SELECT is(
    coalesce(current_setting('roost.touched', true), ''), '', 'nor was anybody told so'
);

-- set_typing: what it does
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$
            SELECT row_to_json(made)::jsonb - 'expires_at'
            FROM api.set_typing('00000000-0000-7000-9000-000000000001') AS made
        $$
    )::jsonb,
    '{
        "conversation_id": "00000000-0000-7000-9000-000000000001",
        "user_id": "00000000-0000-7000-8000-00000000000a",
        "device_id": "00000000-0000-7000-8000-0000000000da",
        "typing": true
    }'::jsonb,
    'the owner types'
);
SELECT results_eq(
    $$
        SELECT conversation_id, user_id, device_id, expires_at - now()
        FROM roost.typing_indicators
    $$,
    $$ VALUES (
        '00000000-0000-7000-9000-000000000001'::uuid,
        '00000000-0000-7000-8000-00000000000a'::uuid,
        '00000000-0000-7000-8000-0000000000da'::uuid,
        interval '6 seconds'
    ) $$,
    'for 6 seconds'
);
SELECT is(
    split_part(current_setting('roost.touched'), E'\t', number),
    line.part,
    format('those who are live are told: part %s', number)
)
FROM (
    VALUES
    (1, '~conversation:00000000-0000-7000-9000-000000000001'),
    (2, 'typing')
) AS line (number, part);
SELECT is(
    split_part(current_setting('roost.touched'), E'\t', 3)::jsonb,
    (
        SELECT jsonb_build_object(
            'conversation_id', indicator.conversation_id,
            'user_id', indicator.user_id,
            'device_id', indicator.device_id,
            'typing', true,
            'expires_at', indicator.expires_at
        )
        FROM roost.typing_indicators AS indicator
    ),
    'of what set_typing answers'
);
SELECT is_empty('SELECT * FROM realtime.events', 'which is not stored');
SELECT is((SELECT sum(last_seq) FROM roost.conversations), 0::numeric, 'and has no offset');
UPDATE roost.typing_indicators SET expires_at = now() + interval '1 second';
SELECT set_config('roost.touched', '', true);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT api.set_typing('00000000-0000-7000-9000-000000000001', NULL) $$
    ),
    'and still types'
);
SELECT is(
    (SELECT expires_at - now() FROM roost.typing_indicators), interval '6 seconds', 'for longer'
);
SELECT is(
    split_part(current_setting('roost.touched'), E'\t', 2), 'typing', 'those who are live hear it'
);

-- list_typing
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.list_typing('00000000-0000-7000-9000-000000000001') $$
    ),
    caller.sqlstate,
    NULL,
    format('list_typing: not for %s', caller.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000db', true);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.set_typing('00000000-0000-7000-9000-000000000001') $$
    ),
    'a member types'
);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000dc', true);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.set_typing('00000000-0000-7000-9000-000000000001') $$
    ),
    'on two devices'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$
            SELECT string_agg(right(device_id::text, 2) || ' ' || typing, ', ')
            FROM api.list_typing('00000000-0000-7000-9000-000000000001')
            WHERE expires_at = now() + interval '6 seconds'
        $$
    ),
    'da true, db true, dc true',
    'a viewer sees who types on what'
);
UPDATE roost.typing_indicators SET expires_at = now()
WHERE device_id = '00000000-0000-7000-8000-0000000000da';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$
            SELECT string_agg(right(device_id::text, 2), ', ')
            FROM api.list_typing('00000000-0000-7000-9000-000000000001')
        $$
    ),
    'db, dc',
    'but not who did 6 seconds ago'
);

-- Stopping
SELECT set_config('roost.touched', '', true);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT concat_ws(' ', typing, right(device_id::text, 2), expires_at)
            FROM api.set_typing('00000000-0000-7000-9000-000000000001', false)
        $$
    ),
    'f dc',
    'a member stops on one of them'
);
SELECT is(
    split_part(current_setting('roost.touched'), E'\t', 3)::jsonb -> 'typing',
    'false'::jsonb,
    'those who are live hear of it'
);
SELECT results_eq(
    'SELECT right(device_id::text, 2) FROM roost.typing_indicators',
    $$ VALUES ('db') $$,
    'that row is gone, and the one that was over'
);
SELECT set_config('roost.touched', '', true);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.set_typing('00000000-0000-7000-9000-000000000001', false) $$
    ),
    'who does not type may stop'
);
SELECT is(current_setting('roost.touched'), '', 'and nobody hears of it');
UPDATE roost.conversation_participants SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
-- As if it had been set while they were removed.
INSERT INTO roost.typing_indicators (conversation_id, user_id, device_id, expires_at)
VALUES (
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b',
    '00000000-0000-7000-8000-0000000000dc', now() + interval '6 seconds'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT count(*) FROM api.list_typing('00000000-0000-7000-9000-000000000001') $$
    ),
    '0',
    'whoever is removed is not seen typing'
);

-- expire_typing
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT roost.expire_typing(1)'),
    '42501',
    NULL,
    format('expire_typing: not for %s', caller.role)
)
FROM (VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_api')) AS caller (role);
DELETE FROM roost.typing_indicators;
INSERT INTO roost.typing_indicators (conversation_id, user_id, device_id, expires_at)
SELECT
    conversation.id, '00000000-0000-7000-8000-00000000000a', device.id,
    CASE WHEN conversation.archived_at IS NULL THEN now() ELSE now() + interval '1 second' END
FROM roost.conversations AS conversation
CROSS JOIN roost.devices AS device;
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.expire_typing(%s)', step.number)),
    step.answer,
    format('expire_typing(%s) answers %s', step.number, coalesce(step.answer, 'NULL'))
)
FROM (
    VALUES (1, '2', '2'), (2, '4', '0'), (3, '4', '0'), (4, 'NULL', NULL)
) AS step (place, number, answer)
ORDER BY step.place;
SELECT results_eq(
    'SELECT count(*), min(expires_at) > now() FROM roost.typing_indicators',
    $$ VALUES (3::bigint, true) $$,
    'those who type are left'
);

SELECT * FROM finish();

ROLLBACK;

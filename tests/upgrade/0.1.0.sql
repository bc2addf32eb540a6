-- A database of release 0.1.0 in use: every table has rows, every enum value and every column that may
-- be NULL is there both ways. Never edited: a later release has a file of its own.
INSERT INTO roost.users
    (id, email, password_hash, display_name, plan_type, preferences, security_settings, status,
    last_login, created_at, updated_at, user_metadata)
SELECT
    format('018f0000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid,
    format('Person%s@Example.com', n),
    '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g',
    CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN 'Zoë ' || n ELSE '名前' END,
    (enum_range(NULL::roost.plan_type))[1 + n % 3],
    jsonb_build_object('theme', n, 'deep', jsonb_build_array(NULL, 1e300, 'é')),
    '{"two_factor": false}',
    (enum_range(NULL::roost.user_status))[
        1 + n % cardinality(enum_range(NULL::roost.user_status))
    ],
    CASE WHEN n % 2 = 0 THEN timestamptz '2026-01-01 00:00:00.123456+02' + n * interval '1 h' END,
    timestamptz '2025-12-31 23:59:59+00' + n * interval '1 day',
    timestamptz '2026-02-28 12:00:00+00',
    '{}'
FROM generate_series(1, 60) AS made (n);

INSERT INTO roost.devices
    (id, user_id, device_name, device_type, platform, capabilities, last_seen, status)
SELECT
    format('018f0000-0000-7000-8001-%s', lpad(n::text, 12, '0'))::uuid,
    format('018f0000-0000-7000-8000-%s', lpad((1 + n % 60)::text, 12, '0'))::uuid,
    'Device ' || n,
    (enum_range(NULL::roost.device_type))[
        1 + n % cardinality(enum_range(NULL::roost.device_type))
    ],
    'linux',
    '{"push": true}',
    timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute',
    (enum_range(NULL::roost.device_status))[
        1 + n % cardinality(enum_range(NULL::roost.device_status))
    ]
FROM generate_series(1, 120) AS made (n);

INSERT INTO roost.extension_connections
    (device_id, user_id, editor, version, workspace_path, state, closed_at)
SELECT
    device.id,
    device.user_id,
    'vscode',
    '1.9' || row_number() OVER (ORDER BY device.id),
    '/home/me/repo',
    state,
    CASE WHEN state::text = 'closed' THEN now() END
FROM roost.devices AS device
CROSS JOIN unnest(enum_range(NULL::roost.extension_state)) AS listed (state)
WHERE device.device_type::text = 'editor';

INSERT INTO roost.sessions
    (user_id, device_id, refresh_token_hash, previous_refresh_token_hash, refreshed_at,
    expires_at, revoked_at, user_agent)
SELECT
    device.user_id,
    device.id,
    sha256(device.id::text::bytea),
    CASE WHEN device.device_name LIKE '%1' THEN sha256('before ' || device.id::text::bytea) END,
    CASE WHEN device.device_name LIKE '%1' THEN now() END,
    now() + interval '30 days',
    CASE WHEN device.device_name LIKE '%2' THEN now() END,
    'curl/8'
FROM roost.devices AS device;

INSERT INTO roost.login_attempts (subject, failures, blocked_until)
VALUES ('account:person1@example.com', 3, now()), ('address:127.0.0.1', 0, NULL);

INSERT INTO roost.conversations (id, user_id, title, workspace_path, metadata, last_seq)
SELECT
    format('018f0000-0000-7000-8002-%s', lpad(n::text, 12, '0'))::uuid,
    format('018f0000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid,
    CASE WHEN n % 2 = 0 THEN 'Pläne ' || n ELSE '' END,
    '/srv/' || n,
    '{"pinned": true}',
    100
FROM generate_series(1, 20) AS made (n);

INSERT INTO roost.conversation_participants (conversation_id, user_id, role, left_at)
SELECT
    conversation.id,
    person.id,
    CASE
        WHEN person.id = conversation.user_id THEN 'owner'
        ELSE (enum_range(NULL::roost.participant_role, 'admin'))[1 + abs(hashtext(person.email)) % 3]
    END::roost.participant_role,
    CASE WHEN person.email LIKE '%9@%' AND person.id <> conversation.user_id THEN now() END
FROM roost.conversations AS conversation
CROSS JOIN roost.users AS person
WHERE person.id = conversation.user_id OR person.email LIKE '%5@%' OR person.email LIKE '%9@%';

INSERT INTO roost.messages
    (conversation_id, seq, user_id, device_id, message_type, content, metadata)
SELECT
    conversation.id,
    n,
    conversation.user_id,
    CASE WHEN n % 2 = 0 THEN (
        SELECT device.id FROM roost.devices AS device
        WHERE device.user_id = conversation.user_id
        ORDER BY device.id
        LIMIT 1
    ) END,
    CASE WHEN n % 5 = 0 THEN 'code.snippet' ELSE 'text' END,
    jsonb_build_object('text', repeat('say "héllo" \ ', n)),
    jsonb_build_object('n', n)
FROM roost.conversations AS conversation
CROSS JOIN generate_series(1, 100) AS made (n);

UPDATE roost.messages AS answer
SET parent_message_id = question.id
FROM roost.messages AS question
WHERE question.conversation_id = answer.conversation_id
    AND question.seq = answer.seq - 1
    AND answer.seq % 3 = 0;

INSERT INTO realtime.topics (topic, last_offset)
SELECT 'conversation:' || conversation.id, 100 FROM roost.conversations AS conversation
UNION ALL
SELECT 'user:' || person.id, 0 FROM roost.users AS person;

INSERT INTO realtime.events
    (topic, event_offset, event, payload, actor_id, device_id, created_at)
SELECT
    'conversation:' || message.conversation_id,
    message.seq,
    'message.created',
    json_build_object('id', message.id),
    CASE WHEN message.seq % 2 = 0 THEN message.user_id END,
    message.device_id,
    now() - message.seq * interval '1 h'
FROM roost.messages AS message;

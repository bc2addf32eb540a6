-- The second wall: what the policies let the functions of api see and do in somebody else's name,
-- whatever a function forgot to check. Commands here read no column, so that it is their own policy
-- that stops them and not the one for SELECT. Ranks within a conversation are in conversations.sql.
BEGIN;

SELECT plan(79);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000ea'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-0000000000db',
    '00000000-0000-7000-8000-0000000000eb'
);
INSERT INTO roost.extension_connections (id, user_id, device_id, editor)
VALUES
(
    '00000000-0000-7000-8000-0000000000fa', '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000da', 'vscode'
),
(
    '00000000-0000-7000-8000-0000000000fb', '00000000-0000-7000-8000-00000000000b',
    '00000000-0000-7000-8000-0000000000db', 'vscode'
);
INSERT INTO roost.conversations (id, user_id)
VALUES
('00000000-0000-7000-9000-00000000000a', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-9000-00000000000b', '00000000-0000-7000-8000-00000000000b');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-00000000000a', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-00000000000b', '00000000-0000-7000-8000-00000000000b', 'owner'
);
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
VALUES
(
    '00000000-0000-7000-9000-00000000000a', 1, '00000000-0000-7000-8000-00000000000a', '{}'
),
(
    '00000000-0000-7000-9000-00000000000b', 1, '00000000-0000-7000-8000-00000000000b', '{}'
);
CREATE TEMPORARY TABLE person (name text PRIMARY KEY, id uuid);
INSERT INTO person
VALUES
('ada', '00000000-0000-7000-8000-00000000000a'),
('grace', '00000000-0000-7000-8000-00000000000b'),
('nobody', NULL);

-- Everything of ada's, and everything in her conversation
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (
            SELECT json_agg(account ORDER BY id) FROM roost.users AS account
            WHERE id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(device ORDER BY id) FROM roost.devices AS device
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(session ORDER BY id) FROM roost.sessions AS session
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(connection ORDER BY id) FROM roost.extension_connections AS connection
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(conversation ORDER BY id) FROM roost.conversations AS conversation
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(participant ORDER BY conversation_id, user_id)
            FROM roost.conversation_participants AS participant
            WHERE '00000000-0000-7000-8000-00000000000a' = user_id
                OR '00000000-0000-7000-9000-00000000000a' = conversation_id
        ),
        (
            SELECT json_agg(message ORDER BY conversation_id, seq) FROM roost.messages AS message
            WHERE '00000000-0000-7000-8000-00000000000a' = user_id
                OR '00000000-0000-7000-9000-00000000000a' = conversation_id
        )
    );
$$;
CREATE TEMPORARY TABLE before AS SELECT pg_temp.state() AS state;

-- SELECT
SELECT is(
    as_caller('roost_api', person.id, format('SELECT count(*) FROM roost.%I', relation.name)),
    CASE person.name WHEN 'nobody' THEN '0' ELSE '1' END,
    format('%s sees their own rows of %s', person.name, relation.name)
)
FROM person
CROSS JOIN (
    VALUES
        ('users'),
        ('devices'),
        ('sessions'),
        ('extension_connections'),
        ('conversations'),
        ('conversation_participants'),
        ('messages')
) AS relation (name);
SELECT is(
    as_caller(
        'roost_api',
        person.id,
        format(
            'SELECT count(*) FROM roost.%I WHERE %I = ''00000000-0000-7000-8000-00000000000a''',
            relation.name, relation.person
        )
    ),
    '0',
    format('%s sees no row of ada''s in %s', person.name, relation.name)
)
FROM person
CROSS JOIN (
    VALUES
        ('users', 'id'),
        ('devices', 'user_id'),
        ('sessions', 'user_id'),
        ('extension_connections', 'user_id'),
        ('conversations', 'user_id'),
        ('conversation_participants', 'user_id'),
        ('messages', 'user_id')
) AS relation (name, person)
WHERE person.name <> 'ada';

-- UPDATE
SELECT is(
    rows_changed('roost_api', person.id, format('UPDATE roost.%s', command.update)),
    CASE person.name WHEN 'nobody' THEN 0 ELSE command.own_rows END,
    format('%s changes no row but their own: UPDATE %s', person.name, command.update)
)
FROM person
CROSS JOIN (
    VALUES
        ('users SET display_name = ''x''', 1::bigint),
        ('devices SET device_name = ''x''', 1),
        ('sessions SET revoked_at = now()', 1),
        ('extension_connections SET editor = ''x''', 1),
        ('conversations SET last_seq = 99', 1),
        -- Their own role is not theirs to change.
        ('conversation_participants SET role = ''viewer''', 0)
) AS command (update, own_rows)
WHERE person.name <> 'ada';
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000b', 'UPDATE roost.' || refused.update),
    '42501',
    NULL,
    format('refused: UPDATE %s', refused.update)
)
FROM (
    VALUES
        ('messages SET content = ''{}'''),
        ('devices SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        (
            'extension_connections SET user_id = ''00000000-0000-7000-8000-00000000000a'','
            ' device_id = ''00000000-0000-7000-8000-0000000000da'''
        )
) AS refused (update);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'nothing of ada''s has changed');

-- INSERT
SELECT throws_ok(
    calling('roost_api', person.id, 'INSERT INTO roost.' || refused.insert),
    '42501',
    NULL,
    format('refused to %s: INSERT INTO %s', person.name, refused.insert)
)
FROM person
CROSS JOIN (
    VALUES
        ('users (email, password_hash) VALUES (''x@example.com'', ''$argon2id$v=19$x'')'),
        ('devices (user_id) VALUES (''00000000-0000-7000-8000-00000000000a'')'),
        (
            'sessions (user_id, device_id, refresh_token_hash, expires_at) VALUES'
            ' (''00000000-0000-7000-8000-00000000000a'', ''00000000-0000-7000-8000-0000000000da'','
            ' sha256(''x''), now())'
        ),
        (
            'extension_connections (user_id, device_id, editor) VALUES'
            ' (''00000000-0000-7000-8000-00000000000a'', ''00000000-0000-7000-8000-0000000000da'','
            ' ''zed'')'
        ),
        ('conversations (user_id) VALUES (''00000000-0000-7000-8000-00000000000a'')'),
        (
            'conversation_participants (conversation_id, user_id, role) VALUES'
            ' (''00000000-0000-7000-9000-00000000000a'', ''00000000-0000-7000-8000-00000000000b'','
            ' ''member'')'
        ),
        (
            'conversation_participants (conversation_id, user_id, role) VALUES'
            ' (''00000000-0000-7000-9000-00000000000a'', ''00000000-0000-7000-8000-00000000000b'','
            ' ''owner'')'
        ),
        (
            'messages (conversation_id, seq, user_id, content) VALUES'
            ' (''00000000-0000-7000-9000-00000000000a'', 2,'
            ' ''00000000-0000-7000-8000-00000000000b'', ''{}'')'
        ),
        (
            'messages (conversation_id, seq, user_id, content) VALUES'
            ' (''00000000-0000-7000-9000-00000000000b'', 2,'
            ' ''00000000-0000-7000-8000-00000000000a'', ''{}'')'
        )
) AS refused (insert)
WHERE person.name <> 'ada';
SELECT is(pg_temp.state(), (SELECT state FROM before), 'nothing of ada''s has come to be');

-- DELETE
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000b', 'DELETE FROM roost.' || name),
    '42501',
    NULL,
    'refused: DELETE FROM ' || name
)
FROM (
    VALUES
        ('users'),
        ('sessions'),
        ('extension_connections'),
        ('conversations'),
        ('conversation_participants'),
        ('messages')
) AS relation (name);
SELECT is(
    rows_changed('roost_api', person.id, 'DELETE FROM roost.devices'),
    CASE person.name WHEN 'nobody' THEN 0 ELSE 1 END::bigint,
    person.name || ' deletes no device but their own'
)
FROM person
WHERE person.name <> 'ada';
SELECT is(pg_temp.state(), (SELECT state FROM before), 'nothing of ada''s is gone');

SELECT * FROM finish();

ROLLBACK;

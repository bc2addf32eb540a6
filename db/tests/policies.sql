-- The second wall: what the policies let the functions of api see and do in somebody else's name,
-- whatever a function forgot to check. Commands here read no column, so that it is their own policy
-- that stops them and not the one for SELECT. Ranks within a conversation are in conversations.sql.
BEGIN;

SELECT plan(475);

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
INSERT INTO roost.conversations (id, user_id, last_seq, last_number)
VALUES
('00000000-0000-7000-9000-00000000000a', '00000000-0000-7000-8000-00000000000a', 1, 1),
('00000000-0000-7000-9000-00000000000b', '00000000-0000-7000-8000-00000000000b', 1, 1);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-00000000000a', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-00000000000b', '00000000-0000-7000-8000-00000000000b', 'owner'
);
INSERT INTO roost.messages (id, conversation_id, seq, user_id, content)
VALUES
(
    '00000000-0000-7000-a000-00000000000a', '00000000-0000-7000-9000-00000000000a', 1,
    '00000000-0000-7000-8000-00000000000a', '{"text": "hello"}'
),
(
    '00000000-0000-7000-a000-00000000000b', '00000000-0000-7000-9000-00000000000b', 1,
    '00000000-0000-7000-8000-00000000000b', '{"text": "hello"}'
);
-- One row of everything that hangs on a message, of whoever wrote it.
CREATE FUNCTION pg_temp.decorate(p_message_id uuid, p_user_id uuid)
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO roost.message_changes (
        conversation_id, seq, message_id, change_type, version, user_id
    )
    SELECT conversation_id, seq, id, 'created', 1, user_id FROM roost.messages
    WHERE id = p_message_id
    ON CONFLICT DO NOTHING;
    INSERT INTO roost.message_attachments (
        message_id, conversation_id, seq, place, name, media_type, size, url
    )
    SELECT id, conversation_id, seq, 1, 'a.txt', 'text/plain', 1, 'https://example.com/'
    FROM roost.messages
    WHERE id = p_message_id;
    INSERT INTO roost.message_reactions (message_id, user_id, reaction)
    VALUES (p_message_id, p_user_id, 'ok');
    INSERT INTO roost.message_mentions (message_id, user_id, conversation_id, created_at)
    SELECT id, p_user_id, conversation_id, now() FROM roost.messages
    WHERE id = p_message_id
    ON CONFLICT DO NOTHING;
    INSERT INTO roost.message_embeddings (message_id, model, embedding)
    VALUES (p_message_id, 'model', '{1}');
$$;
SELECT pg_temp.decorate(message.id, message.user_id) FROM roost.messages AS message;
INSERT INTO roost.typing_indicators (conversation_id, user_id, device_id, expires_at)
VALUES
(
    '00000000-0000-7000-9000-00000000000a', '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000da', now()
),
(
    '00000000-0000-7000-9000-00000000000b', '00000000-0000-7000-8000-00000000000b',
    '00000000-0000-7000-8000-0000000000db', now()
);
INSERT INTO roost.event_subscriptions (user_id, delivery)
VALUES
('00000000-0000-7000-8000-00000000000a', 'all'),
('00000000-0000-7000-8000-00000000000b', 'all');
INSERT INTO roost.servers (id) VALUES ('00000000-0000-7000-8000-0000000000c1');
INSERT INTO roost.device_presence (device_id, user_id)
VALUES
('00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-8000-0000000000db', '00000000-0000-7000-8000-00000000000b');
INSERT INTO roost.device_connections (session_id, server_id, user_id)
VALUES
(
    '00000000-0000-7000-8000-0000000000ea', '00000000-0000-7000-8000-0000000000c1',
    '00000000-0000-7000-8000-00000000000a'
),
(
    '00000000-0000-7000-8000-0000000000eb', '00000000-0000-7000-8000-0000000000c1',
    '00000000-0000-7000-8000-00000000000b'
);
INSERT INTO roost.announced_presence (user_id)
VALUES ('00000000-0000-7000-8000-00000000000a'), ('00000000-0000-7000-8000-00000000000b');
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
        ),
        (
            SELECT json_agg(change ORDER BY seq) FROM roost.message_changes AS change
            WHERE conversation_id = '00000000-0000-7000-9000-00000000000a'
        ),
        (
            SELECT json_agg(attachment ORDER BY seq, place)
            FROM roost.message_attachments AS attachment
            WHERE conversation_id = '00000000-0000-7000-9000-00000000000a'
        ),
        (
            SELECT json_agg(reaction ORDER BY message_id, user_id, reaction)
            FROM roost.message_reactions AS reaction
            WHERE '00000000-0000-7000-8000-00000000000a' = user_id
                OR '00000000-0000-7000-a000-00000000000a' = message_id
        ),
        (
            SELECT json_agg(mention ORDER BY message_id, user_id)
            FROM roost.message_mentions AS mention
            WHERE '00000000-0000-7000-8000-00000000000a' = user_id
                OR '00000000-0000-7000-a000-00000000000a' = message_id
        ),
        (
            SELECT json_agg(embedding ORDER BY model) FROM roost.message_embeddings AS embedding
            WHERE message_id = '00000000-0000-7000-a000-00000000000a'
        ),
        (
            SELECT json_agg(typing ORDER BY conversation_id, user_id)
            FROM roost.typing_indicators AS typing
            WHERE '00000000-0000-7000-8000-00000000000a' = user_id
                OR '00000000-0000-7000-9000-00000000000a' = conversation_id
        ),
        (
            SELECT json_agg(rule ORDER BY id) FROM roost.event_subscriptions AS rule
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(presence ORDER BY device_id) FROM roost.device_presence AS presence
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(connection ORDER BY session_id)
            FROM roost.device_connections AS connection
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
        ),
        (
            SELECT json_agg(announced ORDER BY user_id) FROM roost.announced_presence AS announced
            WHERE user_id = '00000000-0000-7000-8000-00000000000a'
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
        ('messages'),
        ('message_changes'),
        ('message_attachments'),
        ('message_reactions'),
        ('message_mentions'),
        ('message_embeddings'),
        ('typing_indicators'),
        ('event_subscriptions'),
        ('device_presence'),
        ('device_connections'),
        ('announced_presence')
) AS relation (name);
SELECT is(
    as_caller(
        'roost_api',
        person.id,
        format(
            'SELECT count(*) FROM roost.%I WHERE %I::text LIKE ''%%00a''',
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
        ('messages', 'user_id'),
        ('message_changes', 'message_id'),
        ('message_attachments', 'message_id'),
        ('message_reactions', 'user_id'),
        ('message_mentions', 'user_id'),
        ('message_embeddings', 'message_id'),
        ('typing_indicators', 'user_id'),
        ('event_subscriptions', 'user_id'),
        ('device_presence', 'user_id'),
        ('device_connections', 'user_id'),
        ('announced_presence', 'user_id')
) AS relation (name, person)
WHERE person.name <> 'ada';

SELECT is(
    as_caller('roost_api', person.id, 'SELECT count(*) FROM roost.conversation_permissions'),
    (SELECT count(*)::text FROM roost.conversation_permissions),
    format('%s sees what roles may do, which is nobody''s secret', person.name)
)
FROM person;
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        'SELECT before FROM roost.message_changes'
    ),
    '42501',
    NULL,
    'what a message was is seen by functions of the owner alone'
);

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
        ('conversations SET last_seq = 3, last_number = 2, last_activity = now()', 1),
        ('conversations SET title = ''x''', 1),
        ('conversation_participants SET last_delivered_seq = 1', 1),
        ('message_embeddings SET embedding = ''{2}''', 1),
        ('typing_indicators SET expires_at = now()', 1),
        ('event_subscriptions SET delivery = ''none''', 1),
        -- A device speaks for itself alone, and here nobody is on one.
        ('device_presence SET activity = ''x''', 0),
        -- What an embedding is of is gone with this.
        ('messages SET content = ''{"text": "y"}''', 1)
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
        ('messages SET seq = 2'),
        ('messages SET number = 2'),
        ('messages SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('messages SET conversation_id = ''00000000-0000-7000-9000-00000000000a'''),
        ('messages SET reactions = ''[1]'''),
        ('messages SET reply_count = 9'),
        ('messages SET version = 9'),
        ('message_changes SET before = ''{}'''),
        ('message_attachments SET name = ''x'''),
        ('message_reactions SET reaction = ''x'''),
        ('message_mentions SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('message_embeddings SET message_id = ''00000000-0000-7000-a000-00000000000a'''),
        ('typing_indicators SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('event_subscriptions SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('event_subscriptions SET topic = ''user:1'''),
        ('device_presence SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('device_connections SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('announced_presence SET status = ''busy'''),
        ('conversation_permissions SET least_role = ''viewer'''),
        ('conversations SET purged_at = now()'),
        ('conversations SET expired_number = 1'),
        ('conversations SET expired_seq = 1'),
        ('conversations SET removed_seq = 1'),
        ('conversation_participants SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        ('conversation_participants SET suspended = true'),
        ('conversation_participants SET history_after_seq = 1'),
        ('conversations SET last_seq = 0'),
        ('conversations SET last_number = 0'),
        ('conversations SET last_activity = now() + interval ''1 day'''),
        (
            'conversations SET last_seq = last_seq + 2, last_number = last_number + 1,'
            ' last_activity = now()'
        ),
        (
            'conversations SET last_seq = last_seq + 1, last_number = last_number + 2,'
            ' last_activity = now()'
        ),
        (
            'conversations SET last_seq = last_seq + 1, last_number = last_number + 1,'
            ' last_activity = now() - interval ''1 day'''
        ),
        ('conversation_participants SET last_delivered_seq = 9'),
        ('conversation_participants SET last_read_seq = 9, last_delivered_seq = 9'),
        ('conversation_participants SET read_number = 9'),
        ('devices SET user_id = ''00000000-0000-7000-8000-00000000000a'''),
        (
            'extension_connections SET user_id = ''00000000-0000-7000-8000-00000000000a'','
            ' device_id = ''00000000-0000-7000-8000-0000000000da'''
        )
) AS refused (update);
-- On a device of one's own.
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.device_presence SET activity = ''x'''
    ),
    0::bigint,
    'nor does the device of somebody else make it theirs'
);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000db', true);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.device_presence SET activity = ''x'''
    ),
    1::bigint,
    'a device says how it is seen, and no other one'
);
SELECT set_config('roost.device_id', '', true);
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
            ' ''00000000-0000-7000-8000-00000000000b'', ''{"text": "x"}'')'
        ),
        (
            'messages (conversation_id, seq, user_id, content) VALUES'
            ' (''00000000-0000-7000-9000-00000000000b'', 2,'
            ' ''00000000-0000-7000-8000-00000000000a'', ''{"text": "x"}'')'
        ),
        (
            'message_changes (conversation_id, seq, message_id, change_type, version) VALUES'
            ' (''00000000-0000-7000-9000-00000000000b'', 9,'
            ' ''00000000-0000-7000-a000-00000000000b'', ''created'', 1)'
        ),
        (
            'message_attachments (message_id, conversation_id, seq, place, name, media_type, size,'
            ' url) VALUES (''00000000-0000-7000-a000-00000000000a'','
            ' ''00000000-0000-7000-9000-00000000000a'', 1, 2, ''a'', ''a/b'', 1,'
            ' ''https://example.com/'')'
        ),
        (
            'message_attachments (message_id, conversation_id, seq, place, name, media_type, size,'
            ' url) VALUES (''00000000-0000-7000-a000-00000000000b'','
            ' ''00000000-0000-7000-9000-00000000000a'', 1, 2, ''a'', ''a/b'', 1,'
            ' ''https://example.com/'')'
        ),
        (
            'message_reactions (message_id, user_id, reaction) VALUES'
            ' (''00000000-0000-7000-a000-00000000000a'','
            ' ''00000000-0000-7000-8000-00000000000b'', ''x'')'
        ),
        (
            'message_reactions (message_id, user_id, reaction) VALUES'
            ' (''00000000-0000-7000-a000-00000000000b'','
            ' ''00000000-0000-7000-8000-00000000000a'', ''x'')'
        ),
        (
            'message_mentions (message_id, user_id, conversation_id, created_at) VALUES'
            ' (''00000000-0000-7000-a000-00000000000b'','
            ' ''00000000-0000-7000-8000-00000000000a'','
            ' ''00000000-0000-7000-9000-00000000000a'', now())'
        ),
        (
            'message_embeddings (message_id, model, embedding) VALUES'
            ' (''00000000-0000-7000-a000-00000000000a'', ''x'', ''{1}'')'
        ),
        (
            'typing_indicators (conversation_id, user_id, device_id, expires_at) VALUES'
            ' (''00000000-0000-7000-9000-00000000000a'','
            ' ''00000000-0000-7000-8000-00000000000b'','
            ' ''00000000-0000-7000-8000-0000000000db'', now())'
        ),
        (
            'typing_indicators (conversation_id, user_id, device_id, expires_at) VALUES'
            ' (''00000000-0000-7000-9000-00000000000b'','
            ' ''00000000-0000-7000-8000-00000000000a'','
            ' ''00000000-0000-7000-8000-0000000000da'', now())'
        ),
        (
            'event_subscriptions (user_id, delivery) VALUES'
            ' (''00000000-0000-7000-8000-00000000000a'', ''none'')'
        ),
        (
            'device_presence (device_id, user_id) VALUES'
            ' (''00000000-0000-7000-8000-0000000000da'','
            ' ''00000000-0000-7000-8000-00000000000a'')'
        ),
        (
            'device_connections (session_id, server_id, user_id) VALUES'
            ' (''00000000-0000-7000-8000-0000000000ea'','
            ' ''00000000-0000-7000-8000-0000000000c1'','
            ' ''00000000-0000-7000-8000-00000000000a'')'
        ),
        (
            'announced_presence (user_id) VALUES'
            ' (''00000000-0000-7000-8000-00000000000a'')'
        ),
        (
            'conversation_permissions (permission, least_role, in_archive, meaning) VALUES'
            ' (''x.y'', ''viewer'', true, ''x'')'
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
        ('conversation_permissions'),
        ('messages'),
        ('message_changes'),
        ('message_attachments'),
        ('message_mentions'),
        ('message_embeddings'),
        ('device_presence'),
        ('device_connections'),
        ('announced_presence')
) AS relation (name);
SELECT is(
    rows_changed('roost_api', deletion.id, 'DELETE FROM roost.' || deletion.relation),
    CASE deletion.person WHEN 'nobody' THEN 0 ELSE 1 END::bigint,
    format('%s deletes no row of %s but their own', deletion.person, deletion.relation)
)
FROM (
    SELECT person.name, person.id, relation.name
    FROM person
    -- A device last: what is typed on it goes with it.
    CROSS JOIN (
        VALUES
            (1, 'message_reactions'),
            (2, 'typing_indicators'),
            (3, 'event_subscriptions'),
            (4, 'devices')
    ) AS relation (place, name)
    WHERE person.name <> 'ada'
    ORDER BY person.name, relation.place
) AS deletion (person, id, relation);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'nothing of ada''s is gone');

-- Somebody who was added later sees what came after, and of a deleted message what is left of it;
-- of a deleted conversation nobody sees anything.
INSERT INTO roost.conversations (id, user_id, last_seq)
VALUES ('00000000-0000-7000-9000-00000000000c', '00000000-0000-7000-8000-00000000000a', 3);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role, history_after_seq)
VALUES
(
    '00000000-0000-7000-9000-00000000000c', '00000000-0000-7000-8000-00000000000a', 'owner', 0
),
(
    '00000000-0000-7000-9000-00000000000c', '00000000-0000-7000-8000-00000000000b', 'admin', 1
);
INSERT INTO roost.messages (id, conversation_id, seq, user_id, content)
SELECT
    ('00000000-0000-7000-a000-0000000000c' || written.seq)::uuid,
    '00000000-0000-7000-9000-00000000000c',
    written.seq,
    '00000000-0000-7000-8000-00000000000a',
    '{"text": "hello"}'
FROM generate_series(1, 3) AS written (seq);
SELECT pg_temp.decorate(message.id, message.user_id)
FROM roost.messages AS message
WHERE message.conversation_id = '00000000-0000-7000-9000-00000000000c';
INSERT INTO roost.typing_indicators (conversation_id, user_id, device_id, expires_at)
VALUES
(
    '00000000-0000-7000-9000-00000000000c', '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000da', now()
);
UPDATE roost.messages
SET deleted_at = now(),
    content = '{}',
    metadata = '{}',
    mentions = '{}',
    attachments = '[]',
    reactions = '[]'
WHERE id = '00000000-0000-7000-a000-0000000000c3';
CREATE FUNCTION pg_temp.seen(p_name text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat(
            relation.name,
            '=',
            as_caller(
                'roost_api',
                (SELECT person.id FROM person WHERE person.name = p_name),
                format(
                    'SELECT count(*) FROM roost.%I WHERE %I::text LIKE ''%%0c%s''',
                    relation.name, relation.id, relation.pattern
                )
            )
        ),
        ' '
    )
    FROM (
        VALUES
            ('conversations', 'id', ''),
            ('conversation_participants', 'conversation_id', ''),
            ('messages', 'conversation_id', ''),
            ('message_attachments', 'conversation_id', ''),
            ('message_reactions', 'message_id', '_'),
            ('message_embeddings', 'message_id', '_'),
            ('typing_indicators', 'conversation_id', '')
    ) AS relation (name, id, pattern);
$$;
SELECT is(pg_temp.seen(seen.name), seen.answer, seen.name || ' sees what is theirs to see')
FROM (
    VALUES
    (
        'ada',
        'conversations=1 conversation_participants=2 messages=3 message_attachments=2'
        ' message_reactions=2 message_embeddings=2 typing_indicators=1'
    ),
    (
        'grace',
        'conversations=1 conversation_participants=2 messages=2 message_attachments=1'
        ' message_reactions=1 message_embeddings=1 typing_indicators=1'
    )
) AS seen (name, answer);
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT string_agg(DISTINCT right(message_id::text, 2), ' ')
            FROM roost.message_changes
            WHERE conversation_id = '00000000-0000-7000-9000-00000000000c'
        $$
    ),
    'c2 c3',
    'nor does a change tell of what came before'
);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.messages SET deleted_at = now(), content = ''{}'''
        ' WHERE id = ''00000000-0000-7000-a000-0000000000c1'''
    ),
    0::bigint,
    'nor may an admin delete what came before'
);
-- Embeddings: as the message, and the rank of whoever writes there.
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'SELECT count(*) FROM roost.message_embeddings WHERE message_id::text LIKE ''%0c_'''
    ),
    '1',
    'an admin sees what their messages mean and no more'
);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.message_embeddings SET embedding = ''{3}'''
    ),
    1::bigint,
    'an admin changes what they may write, and no more'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        format(
            'INSERT INTO roost.message_embeddings (message_id, model, embedding)'
            ' VALUES (''00000000-0000-7000-a000-0000000000%s'', ''y'', ''{1}'')',
            message.id
        )
    ),
    '42501',
    NULL,
    format('an admin says nothing of what %s means', message.id)
)
FROM (VALUES ('c1'), ('c3')) AS message (id);
UPDATE roost.conversation_participants SET role = 'viewer'
WHERE conversation_id = '00000000-0000-7000-9000-00000000000c'
    AND user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'SELECT count(*) FROM roost.message_embeddings WHERE message_id::text LIKE ''%0c_'''
    ),
    '1',
    'a viewer sees what their messages mean and no more'
);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.message_embeddings SET embedding = ''{3}'''
    ),
    0::bigint,
    'a viewer changes what they may write, and no more'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        format(
            'INSERT INTO roost.message_embeddings (message_id, model, embedding)'
            ' VALUES (''00000000-0000-7000-a000-0000000000%s'', ''y'', ''{1}'')',
            message.id
        )
    ),
    '42501',
    NULL,
    format('a viewer says nothing of what %s means', message.id)
)
FROM (VALUES ('c1'), ('c2'), ('c3')) AS message (id);
UPDATE roost.conversation_participants SET role = 'admin', left_at = now()
WHERE conversation_id = '00000000-0000-7000-9000-00000000000c'
    AND user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'SELECT count(*) FROM roost.message_embeddings WHERE message_id::text LIKE ''%0c_'''
    ),
    '0',
    'somebody who has left sees what their messages mean and no more'
);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'UPDATE roost.message_embeddings SET embedding = ''{3}'''
    ),
    0::bigint,
    'somebody who has left changes what they may write, and no more'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        format(
            'INSERT INTO roost.message_embeddings (message_id, model, embedding)'
            ' VALUES (''00000000-0000-7000-a000-0000000000%s'', ''y'', ''{1}'')',
            message.id
        )
    ),
    '42501',
    NULL,
    format('somebody who has left says nothing of what %s means', message.id)
)
FROM (VALUES ('c1'), ('c2'), ('c3')) AS message (id);
UPDATE roost.conversation_participants SET left_at = NULL
WHERE conversation_id = '00000000-0000-7000-9000-00000000000c'
    AND user_id = '00000000-0000-7000-8000-00000000000b';
UPDATE roost.conversations SET deleted_at = now()
WHERE id = '00000000-0000-7000-9000-00000000000c';
SELECT is(pg_temp.seen(seen.name), seen.answer, seen.name || ' sees nothing of what is deleted')
FROM (
    VALUES
    (
        'ada',
        'conversations=1 conversation_participants=1 messages=0 message_attachments=0'
        ' message_reactions=0 message_embeddings=0 typing_indicators=0'
    ),
    (
        'grace',
        'conversations=0 conversation_participants=1 messages=0 message_attachments=0'
        ' message_reactions=0 message_embeddings=0 typing_indicators=0'
    )
) AS seen (name, answer);
SELECT is(
    rows_changed('roost_api', person.id, 'UPDATE roost.' || command.update),
    0::bigint,
    format('nor does %s change it: UPDATE %s', person.name, command.update)
)
FROM person
CROSS JOIN (
    VALUES
        ('messages SET metadata = ''{}'' WHERE conversation_id::text LIKE ''%0c'''),
        (
            'conversation_participants SET last_read_seq = 1 WHERE conversation_id::text'
            ' LIKE ''%0c'' AND user_id <> roost.current_user_id()'
        )
) AS command (update)
WHERE person.name <> 'nobody';
UPDATE roost.conversations SET purged_at = now()
WHERE id = '00000000-0000-7000-9000-00000000000c';
SELECT is(
    as_caller(
        'roost_api', person.id,
        'SELECT count(*) FROM roost.conversations WHERE id::text LIKE ''%0c'''
    ),
    '0',
    format('%s does not see that it was, once it is deleted for good', person.name)
)
FROM person;

-- What the functions of api never write, in the name of an owner, who may do most
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'left@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'closed@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000e', 'new@example.com');
UPDATE roost.users SET status = 'closed' WHERE id = '00000000-0000-7000-8000-00000000000d';
INSERT INTO roost.conversations (id, user_id, last_seq, last_number)
SELECT conversation.id, '00000000-0000-7000-8000-00000000000a', 9, 1
FROM (
    VALUES
    ('00000000-0000-7000-9000-0000000000d1'::uuid),
    ('00000000-0000-7000-9000-0000000000d2'),
    ('00000000-0000-7000-9000-0000000000d3')
) AS conversation (id);
INSERT INTO roost.conversation_participants (
    conversation_id, user_id, role, joined_at, left_at
)
SELECT
    conversation.id, person.id, person.role::roost.participant_role, '2025-12-01', person.left_at
FROM (
    VALUES
    ('00000000-0000-7000-9000-0000000000d1'::uuid),
    ('00000000-0000-7000-9000-0000000000d2'),
    ('00000000-0000-7000-9000-0000000000d3')
) AS conversation (id)
CROSS JOIN (
    VALUES
    ('00000000-0000-7000-8000-00000000000a'::uuid, 'owner', NULL::timestamptz),
    ('00000000-0000-7000-8000-00000000000b', 'member', NULL),
    ('00000000-0000-7000-8000-00000000000c', 'member', '2026-01-01')
) AS person (id, role, left_at);
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, content)
VALUES
(
    '00000000-0000-7000-a000-0000000000d1', '00000000-0000-7000-9000-0000000000d1', 9, 1,
    '00000000-0000-7000-8000-00000000000a', '{"text": "hello"}'
),
(
    '00000000-0000-7000-a000-0000000000d2', '00000000-0000-7000-9000-0000000000d2', 9, 1,
    '00000000-0000-7000-8000-00000000000a', '{"text": "hello"}'
);
UPDATE roost.conversations SET archived_at = now()
WHERE id = '00000000-0000-7000-9000-0000000000d2';
UPDATE roost.conversations SET deleted_at = now()
WHERE id = '00000000-0000-7000-9000-0000000000d3';
CREATE FUNCTION pg_temp.written()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(one ORDER BY id) FROM roost.conversations AS one),
        (
            SELECT json_agg(one ORDER BY conversation_id, user_id)
            FROM roost.conversation_participants AS one
        ),
        (SELECT json_agg(one ORDER BY id) FROM roost.messages AS one),
        (SELECT json_agg(one ORDER BY message_id, model) FROM roost.message_embeddings AS one),
        (SELECT json_agg(one ORDER BY device_id) FROM roost.typing_indicators AS one)
    );
$$;
CREATE TEMPORARY TABLE unwritten AS SELECT pg_temp.written() AS state;
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000a', refused.command),
    refused.sqlstate,
    NULL,
    'refused: ' || refused.command
)
FROM (
    SELECT
        format(
            'INSERT INTO roost.conversations (user_id, %s)'
            ' VALUES (''00000000-0000-7000-8000-00000000000a'', %s)',
            forged.name, forged.value
        ),
        '42501'
    FROM (
        VALUES
        ('last_seq', '9'), ('last_number', '9'), ('archived_at', 'now()'),
        ('deleted_at', 'now()'), ('created_at', 'now()'), ('last_activity', 'now()')
    ) AS forged (name, value)
    UNION ALL
    SELECT
        format(
            'INSERT INTO roost.conversation_participants (conversation_id, user_id, %s)'
            ' VALUES (''00000000-0000-7000-9000-0000000000d1'','
            ' ''00000000-0000-7000-8000-0000000000%s'', %s)',
            forged.name, forged.person, forged.value
        ),
        forged.sqlstate
    FROM (
        VALUES
        ('left_at', '0e', 'now()', '42501'), ('suspended', '0e', 'true', '42501'),
        ('joined_at', '0e', 'now()', '42501'), ('mention_name', '0e', '''x''', '42501'),
        ('history_after_seq', '0e', '10', '42501'), ('role', '0d', '''member''', 'RO201')
    ) AS forged (name, person, value, sqlstate)
    UNION ALL
    SELECT
        format(
            'UPDATE roost.conversations SET %s'
            ' WHERE id = ''00000000-0000-7000-9000-0000000000%s''',
            forged.value, forged.conversation
        ),
        '42501'
    FROM (
        VALUES
        ('d1', 'deleted_at = ''infinity'''), ('d1', 'deleted_at = ''2026-01-01'''),
        ('d1', 'archived_at = ''2026-01-01'''), ('d2', 'archived_at = ''2026-01-01'''),
        (
            'd2',
            'last_seq = last_seq + 1, last_number = last_number + 1, last_activity = now()'
        ),
        (
            'd3',
            'last_seq = last_seq + 1, last_number = last_number + 1, last_activity = now()'
        )
    ) AS forged (conversation, value)
    UNION ALL
    SELECT
        format(
            'UPDATE roost.conversation_participants SET %s'
            ' WHERE conversation_id = ''00000000-0000-7000-9000-0000000000d1'''
            ' AND user_id = ''00000000-0000-7000-8000-0000000000%s''',
            forged.value, forged.person
        ),
        '42501'
    FROM (
        VALUES
        ('0b', 'left_at = ''infinity'''), ('0b', 'left_at = ''2026-01-01'''),
        ('0c', 'left_at = NULL'), ('0c', 'left_at = NULL, joined_at = ''infinity'''),
        ('0c', 'left_at = NULL, joined_at = now(), history_after_seq = 10')
    ) AS forged (person, value)
    UNION ALL
    SELECT
        format(
            'UPDATE roost.messages SET %s WHERE id = ''00000000-0000-7000-a000-0000000000d1''',
            forged.value
        ),
        '42501'
    FROM (
        VALUES
        ('deleted_at = ''infinity'''), ('deleted_at = ''2026-01-01'''),
        ('purged_at = ''2026-01-01'''), ('deleted_at = now(), purged_at = ''infinity''')
    ) AS forged (value)
    UNION ALL
    VALUES
    (
        'INSERT INTO roost.message_embeddings (message_id, model, embedding)'
        ' VALUES (''00000000-0000-7000-a000-0000000000d2'', ''y'', ''{1}'')',
        '42501'
    )
) AS refused (command, sqlstate);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        format(
            $$
                INSERT INTO roost.typing_indicators (
                    conversation_id, user_id, device_id, expires_at
                )
                VALUES (
                    '00000000-0000-7000-9000-0000000000%s', roost.current_user_id(),
                    roost.current_device_id(), %s
                )
            $$,
            forged.conversation, forged.expires_at
        )
    ),
    '42501',
    NULL,
    'nobody types ' || forged.name
)
FROM (
    VALUES
    ('d1', 'now() + interval ''7 seconds''', 'for longer than it lasts'),
    ('d2', 'now()', 'in an archive')
) AS forged (conversation, expires_at, name);
SELECT is(pg_temp.written(), unwritten.state, 'and all is as it was') FROM unwritten;
UPDATE roost.conversations SET last_seq = 10, last_number = 2
WHERE id = '00000000-0000-7000-9000-0000000000d1';
CREATE FUNCTION pg_temp.send(p_device_id text, p_attachments text DEFAULT '[]')
RETURNS text
LANGUAGE sql
AS $$
    SELECT calling(
        'roost_api', '00000000-0000-7000-8000-00000000000a',
        format(
            'INSERT INTO roost.messages'
            ' (conversation_id, seq, number, change_seq, user_id, device_id, content, attachments)'
            ' VALUES (''00000000-0000-7000-9000-0000000000d1'', 10, 2, 10,'
            ' roost.current_user_id(), %L, ''{"text": "x"}'', %L) RETURNING seq',
            p_device_id, p_attachments
        )
    );
$$;
SELECT throws_ok(
    pg_temp.send('00000000-0000-7000-8000-0000000000db'),
    '42501',
    NULL,
    'nobody writes on somebody else''s device'
);
SELECT throws_ok(
    pg_temp.send('00000000-0000-7000-8000-0000000000da', '{}'),
    '23514',
    NULL,
    'nor attaches anything but a list, which nobody could read'
);
SELECT lives_ok(
    pg_temp.send('00000000-0000-7000-8000-0000000000da'),
    'but on their own'
);

-- Device messages: for the device that sent it and the one that it waits for, and for no other of
-- the same person; what became of it for the one that sent it. They go by functions of the owner.
INSERT INTO roost.devices (id, user_id)
SELECT
    ('00000000-0000-7000-8000-0000000000d' || number)::uuid,
    '00000000-0000-7000-8000-00000000000a'
FROM generate_series(1, 3) AS number;
INSERT INTO roost.devices (id, user_id)
VALUES ('00000000-0000-7000-8000-0000000000d4', '00000000-0000-7000-8000-00000000000b');
INSERT INTO roost.device_messages (
    id, user_id, from_device_id, to_device_id, number, message_type, expires_at
)
VALUES
(
    '00000000-0000-7000-d000-00000000000a', '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000d1', '00000000-0000-7000-8000-0000000000d2', 1, 'x',
    now() + interval '1 hour'
);
INSERT INTO roost.device_message_outcomes (
    id, user_id, from_device_id, to_device_id, number, state, created_at, expires_at
)
VALUES
(
    '00000000-0000-7000-d000-00000000000b', '00000000-0000-7000-8000-00000000000a',
    '00000000-0000-7000-8000-0000000000d1', '00000000-0000-7000-8000-0000000000d2', 2,
    'acknowledged', now(), now()
);
CREATE FUNCTION pg_temp.on_device(p_person text, p_device text)
RETURNS uuid
LANGUAGE sql
AS $$
    SELECT set_config(
        'roost.device_id', coalesce('00000000-0000-7000-8000-0000000000' || p_device, ''), true
    );
    SELECT person.id FROM person WHERE person.name = p_person;
$$;
SELECT is(
    as_caller(
        'roost_api', pg_temp.on_device(caller.person, caller.device),
        'SELECT concat((SELECT count(*) FROM roost.device_messages), '' '','
        ' (SELECT count(*) FROM roost.device_message_outcomes))'
    ),
    caller.answer,
    format('%s on %s sees %s', caller.person, coalesce(caller.device, 'none'), caller.answer)
)
FROM (
    VALUES
        ('ada', 'd1', '1 1'),
        ('ada', 'd2', '1 0'),
        ('ada', 'd3', '0 0'),
        ('ada', NULL, '0 0'),
        ('grace', 'd1', '0 0'),
        ('grace', 'd4', '0 0'),
        ('nobody', 'd1', '0 0')
) AS caller (person, device, answer);
SELECT throws_ok(
    calling(
        'roost_api', pg_temp.on_device(refused.person, refused.device),
        format(
            'INSERT INTO roost.device_messages (user_id, from_device_id, to_device_id, number,'
            ' message_type, expires_at) VALUES (%L, %L, %L, 9, ''x'', now() + interval ''1 hour'')',
            '00000000-0000-7000-8000-00000000000' || refused.owner,
            '00000000-0000-7000-8000-0000000000' || refused.sender,
            '00000000-0000-7000-8000-0000000000' || refused.receiver
        )
    ),
    refused.sqlstate,
    NULL,
    format(
        '%s on %s sends nothing from %s to %s as %s', refused.person, refused.device,
        refused.sender, refused.receiver, refused.owner
    )
)
FROM (
    VALUES
        ('ada', 'd1', 'a', 'd2', 'd1', '42501'),
        ('ada', 'd1', 'b', 'd1', 'd4', '42501'),
        ('grace', 'd4', 'a', 'd1', 'd2', '42501'),
        ('grace', 'd1', 'a', 'd1', 'd2', '42501'),
        ('nobody', 'd1', 'a', 'd1', 'd2', '42501'),
        -- Devices of two people: not by the policy, but by the keys.
        ('ada', 'd1', 'a', 'd1', 'd4', '23503'),
        ('grace', 'd4', 'b', 'd4', 'd2', '23503'),
        ('grace', 'd1', 'b', 'd1', 'd4', '23503')
) AS refused (person, device, owner, sender, receiver, sqlstate);
SELECT throws_ok(
    calling('roost_api', pg_temp.on_device('ada', 'd1'), refused.command),
    '42501',
    NULL,
    'refused: ' || refused.command
)
FROM (
    VALUES
        ('UPDATE roost.device_messages SET payload = ''{}'''),
        ('DELETE FROM roost.device_messages'),
        ('UPDATE roost.device_message_outcomes SET state = ''cancelled'''),
        ('DELETE FROM roost.device_message_outcomes'),
        ('INSERT INTO roost.device_message_outcomes SELECT * FROM roost.device_message_outcomes')
) AS refused (command);
SELECT is(
    (
        SELECT concat_ws(' ', count(*), min(message.id::text), min(message.payload::text))
        FROM roost.device_messages AS message
    ),
    '1 00000000-0000-7000-d000-00000000000a {}',
    'and the message is as it was'
);

-- What devices did while they were offline: a device counts for itself, what became of it and what
-- it met all devices of the person see, and nobody else. What became of an operation stays so.
INSERT INTO roost.sync_devices (device_id, user_id, last_operation_id)
SELECT device.id, device.user_id, 1 FROM roost.devices AS device
WHERE device.id::text LIKE '%-0000000000d_' AND device.id::text ~ '[1234]$';
INSERT INTO roost.sync_operations (device_id, user_id, operation_id, kind, body_hash, outcome)
SELECT known.device_id, known.user_id, 1, 'update_me', '', 'applied'
FROM roost.sync_devices AS known;
INSERT INTO roost.sync_conflicts (
    user_id, device_id, operation_id, kind, policy, target_kind, target_id, args
)
SELECT known.user_id, known.device_id, 1, 'update_me', 'merge', 'account', known.user_id, '{}'
FROM roost.sync_devices AS known;
INSERT INTO roost.offline_operations (device_id, user_id, kind, policy, body_hash)
SELECT known.device_id, known.user_id, 'update_me', 'merge', ''
FROM roost.sync_devices AS known;
SELECT is(
    as_caller(
        'roost_api', pg_temp.on_device(caller.person, caller.device),
        'SELECT concat((SELECT count(*) FROM roost.sync_devices), '' '','
        ' (SELECT count(*) FROM roost.sync_operations), '' '','
        ' (SELECT count(*) FROM roost.sync_conflicts), '' '','
        ' (SELECT count(*) FROM roost.offline_operations))'
    ),
    caller.answer,
    format('%s on %s sees %s', caller.person, coalesce(caller.device, 'none'), caller.answer)
)
FROM (
    VALUES
        ('ada', 'd1', '1 3 3 3'),
        ('ada', 'd2', '1 3 3 3'),
        ('ada', 'd4', '0 3 3 3'),
        ('ada', NULL, '0 3 3 3'),
        ('grace', 'd1', '0 1 1 1'),
        ('grace', 'd4', '1 1 1 1'),
        ('nobody', 'd1', '0 0 0 0')
) AS caller (person, device, answer);
SELECT throws_ok(
    calling(
        'roost_api', pg_temp.on_device(refused.person, refused.device),
        format(
            added.command, '00000000-0000-7000-8000-0000000000' || refused.named,
            '00000000-0000-7000-8000-00000000000' || refused.owner
        )
    ),
    '42501',
    NULL,
    format(
        '%s on %s adds nothing for %s of %s: %s', refused.person, refused.device, refused.named,
        refused.owner, added.command
    )
)
FROM (
    VALUES
        ('INSERT INTO roost.sync_devices (device_id, user_id) VALUES (%L, %L)'),
        (
            'INSERT INTO roost.sync_operations (device_id, user_id, operation_id, kind, body_hash,'
            ' outcome) VALUES (%L, %L, 2, ''x'', '''', ''applied'')'
        ),
        (
            'INSERT INTO roost.sync_conflicts (device_id, user_id, operation_id, kind, policy,'
            ' target_kind, target_id, args) VALUES (%L, %L, 2, ''x'', ''merge'', ''account'','
            ' gen_random_uuid(), ''{}'')'
        ),
        (
            'INSERT INTO roost.offline_operations (device_id, user_id, kind, policy, body_hash)'
            ' VALUES (%L, %L, ''x'', ''merge'', '''')'
        )
) AS added (command)
CROSS JOIN (
    VALUES
        ('grace', 'd4', 'd1', 'a'),
        ('grace', 'd4', 'd4', 'a'),
        ('grace', 'd1', 'd1', 'a'),
        ('ada', 'd1', 'd2', 'a'),
        ('nobody', 'd1', 'd1', 'a')
) AS refused (person, device, named, owner);
SELECT is(
    rows_changed('roost_api', pg_temp.on_device(changed.person, changed.device), changed.command),
    changed.rows,
    format('%s on %s changes %s: %s', changed.person, changed.device, changed.rows, changed.command)
)
FROM (
    VALUES
        ('ada', 'd1', 'UPDATE roost.sync_devices SET last_operation_id = 2', 1::bigint),
        ('ada', 'd4', 'UPDATE roost.sync_devices SET last_operation_id = 2', 0),
        ('grace', 'd1', 'UPDATE roost.sync_devices SET last_operation_id = 2', 0),
        ('nobody', 'd1', 'UPDATE roost.sync_devices SET last_operation_id = 2', 0),
        ('nobody', 'd1', 'UPDATE roost.sync_conflicts SET resolved_by = NULL', 0),
        ('grace', 'd4', 'UPDATE roost.sync_conflicts SET resolved_by = NULL', 1),
        (
            'ada', 'd1',
            'UPDATE roost.sync_conflicts'
            ' SET state = ''resolved'', strategy = ''mine'', resolved_at = now()',
            3
        ),
        ('ada', 'd1', 'UPDATE roost.sync_conflicts SET resolved_by = NULL', 0),
        ('nobody', 'd1', 'UPDATE roost.offline_operations SET retry_count = 1', 0),
        ('grace', 'd1', 'UPDATE roost.offline_operations SET retry_count = 1', 1),
        (
            'ada', 'd1',
            'UPDATE roost.offline_operations SET status = ''completed'', completed_at = now()',
            3
        ),
        ('ada', 'd1', 'UPDATE roost.offline_operations SET retry_count = 1', 0)
) AS changed (person, device, command, rows);
SELECT throws_ok(
    calling('roost_api', pg_temp.on_device('ada', 'd1'), refused.command),
    '42501',
    NULL,
    'refused: ' || refused.command
)
FROM (
    VALUES
        ('DELETE FROM roost.sync_devices'),
        ('UPDATE roost.sync_devices SET user_id = user_id'),
        ('UPDATE roost.sync_operations SET outcome = ''applied'''),
        ('DELETE FROM roost.sync_operations'),
        ('UPDATE roost.sync_conflicts SET mine = NULL'),
        ('UPDATE roost.sync_conflicts SET user_id = user_id'),
        ('DELETE FROM roost.sync_conflicts'),
        ('UPDATE roost.offline_operations SET device_id = device_id'),
        ('UPDATE roost.offline_operations SET depends_on = ''{}'''),
        ('DELETE FROM roost.offline_operations')
) AS refused (command);

-- Workspaces: read by whoever is in them, changed by their owner, who says who is in them; and each
-- may go. Ada owns one in which grace is, who owns another.
INSERT INTO person
VALUES ('joan', make_user('00000000-0000-7000-8000-0000000000aa', 'joan-aa@example.com'));
INSERT INTO roost.workspaces (id, user_id, name, path)
VALUES
('00000000-0000-7000-e000-000000000001', '00000000-0000-7000-8000-00000000000a', 'A', '/a'),
('00000000-0000-7000-e000-000000000002', '00000000-0000-7000-8000-00000000000b', 'B', '/b'),
('00000000-0000-7000-e000-000000000003', '00000000-0000-7000-8000-00000000000a', 'C', '/c');
INSERT INTO roost.workspace_members (workspace_id, user_id, role, left_at)
SELECT
    ('00000000-0000-7000-e000-00000000000' || workspace)::uuid, person.id,
    role::roost.workspace_role, left_at
FROM (
    VALUES
        ('1', 'ada', 'owner', NULL),
        ('1', 'grace', 'editor', NULL),
        ('1', 'joan', 'viewer', now()),
        ('2', 'grace', 'owner', NULL)
) AS member (workspace, name, role, left_at)
JOIN person ON person.name = member.name;
SELECT is(
    as_caller(
        'roost_api', person.id,
        'SELECT concat((SELECT string_agg(name, '''' ORDER BY name) FROM roost.workspaces), '' '','
        ' (SELECT count(*) FROM roost.workspace_members))'
    ),
    seen.answer,
    format('of workspaces and their members %s sees %s', seen.name, seen.answer)
)
FROM (
    -- Joan, who has left, sees her own row alone.
    VALUES ('ada', 'A 3'), ('grace', 'AB 4'), ('joan', ' 1'), ('nobody', ' 0')
) AS seen (name, answer)
JOIN person ON person.name = seen.name;
SELECT throws_ok(
    calling('roost_api', person.id, refused.command),
    '42501',
    NULL,
    format('%s may not: %s', refused.name, refused.command)
)
FROM (
    SELECT
        listed.name,
        'INSERT INTO roost.workspaces (user_id, name, path)'
        ' VALUES (''00000000-0000-7000-8000-00000000000a'', ''x'', ''/x'')' AS command
    FROM (VALUES ('grace'), ('nobody')) AS listed (name)
    UNION ALL
    SELECT
        listed.name,
        format(
            'INSERT INTO roost.workspace_members (workspace_id, user_id, role) VALUES'
            ' (''00000000-0000-7000-e000-00000000000%s'','
            ' ''00000000-0000-7000-8000-0000000000%s'', %L)',
            listed.workspace, listed.person, listed.role
        )
    FROM (
        VALUES
            -- An owner gives no second owner, and is nothing else themselves.
            ('ada', '3', '0b', 'owner'),
            ('ada', '3', '0a', 'viewer'),
            ('grace', '1', 'aa', 'viewer'),
            ('grace', '3', '0b', 'owner'),
            ('joan', '1', 'aa', 'viewer'),
            ('joan', '2', 'aa', 'editor'),
            ('nobody', '1', 'aa', 'viewer')
    ) AS listed (name, workspace, person, role)
    UNION ALL
    VALUES
    ('ada', 'UPDATE roost.workspaces SET user_id = user_id'),
    ('ada', 'UPDATE roost.workspaces SET change_seq = 1'),
    ('ada', 'UPDATE roost.workspaces SET last_accessed = now()'),
    ('ada', 'UPDATE roost.workspaces SET id = id'),
    ('ada', 'UPDATE roost.workspace_members SET change_seq = 1'),
    ('ada', 'UPDATE roost.workspace_members SET user_id = user_id'),
    ('ada', 'DELETE FROM roost.workspace_members'),
    ('ada', 'UPDATE roost.workspace_members SET role = ''owner'''),
    -- Who is in it stays as they are, or goes.
    ('grace', 'UPDATE roost.workspace_members SET role = ''viewer'''),
    ('grace', 'UPDATE roost.workspace_members SET added_by = NULL')
) AS refused (name, command)
JOIN person ON person.name = refused.name;
SELECT is(
    rows_changed('roost_api', person.id, changed.command),
    changed.rows,
    format('%s changes %s: %s', changed.name, changed.rows, changed.command)
)
FROM (
    VALUES
        ('ada', 'UPDATE roost.workspaces SET name = ''x''', 2::bigint),
        ('grace', 'UPDATE roost.workspaces SET name = ''B''', 1),
        ('joan', 'UPDATE roost.workspaces SET name = ''x''', 0),
        ('nobody', 'UPDATE roost.workspaces SET name = ''x''', 0),
        ('nobody', 'UPDATE roost.workspace_members SET left_at = now()', 0),
        -- Whoever has left does not come back by themselves.
        ('joan', 'UPDATE roost.workspace_members SET left_at = NULL', 0),
        ('ada', 'UPDATE roost.workspace_members SET role = ''viewer''', 2),
        ('grace', 'UPDATE roost.workspace_members SET left_at = now()', 1),
        ('joan', 'DELETE FROM roost.workspaces', 0),
        ('nobody', 'DELETE FROM roost.workspaces', 0)
) AS changed (name, command, rows)
JOIN person ON person.name = changed.name;
SELECT is(
    rows_changed('roost_api', person.id, 'DELETE FROM roost.workspaces'),
    1::bigint,
    'grace deletes her own'
)
FROM person
WHERE person.name = 'grace';
SELECT is(
    (
        SELECT string_agg(
            concat_ws(
                ' ', workspace.name, right(member.user_id::text, 1), member.role,
                CASE WHEN member.left_at IS NOT NULL THEN 'left' END
            ),
            ', ' ORDER BY member.user_id
        )
        FROM roost.workspaces AS workspace
        LEFT JOIN roost.workspace_members AS member ON member.workspace_id = workspace.id
        WHERE workspace.path = '/a'
    ),
    'x a owner, x b viewer left, x a viewer left',
    'ada''s workspace has what she has made of it'
);

-- Contents and uploads: read by whoever is in the workspace, or uploads; written by functions of
-- the owner alone, who alone reads chunks.
INSERT INTO roost.storage_usage (user_id)
SELECT person.id FROM person WHERE person.name IN ('ada', 'grace')
ON CONFLICT DO NOTHING;
INSERT INTO roost.workspaces (id, user_id, name, path)
SELECT ('00000000-0000-7000-e000-00000000001' || workspace)::uuid, person.id, 'U', '/u'
FROM (VALUES ('1', 'ada'), ('2', 'grace')) AS listed (workspace, name)
JOIN person ON person.name = listed.name;
INSERT INTO roost.workspace_members (workspace_id, user_id, role, left_at)
SELECT
    ('00000000-0000-7000-e000-00000000001' || workspace)::uuid, person.id,
    role::roost.workspace_role, left_at
FROM (
    VALUES
        ('1', 'ada', 'owner', NULL),
        ('1', 'grace', 'viewer', NULL),
        ('1', 'joan', 'editor', now()),
        ('2', 'grace', 'owner', NULL)
) AS member (workspace, name, role, left_at)
JOIN person ON person.name = member.name;
INSERT INTO roost.file_chunks (hash, content) VALUES (sha256('x'), 'x');
INSERT INTO roost.file_contents (id, workspace_id, owner_id, hash, size)
SELECT workspace.id, workspace.id, workspace.user_id, sha256('x'), 1
FROM roost.workspaces AS workspace WHERE workspace.path = '/u';
INSERT INTO roost.content_chunks (content_id, from_byte, size, workspace_id, chunk_hash)
SELECT content.id, 0, 1, content.workspace_id, content.hash FROM roost.file_contents AS content;
INSERT INTO roost.chunk_leases (workspace_id, chunk_hash, expires_at)
SELECT content.workspace_id, content.hash, now() FROM roost.file_contents AS content;
INSERT INTO roost.content_leases (content_id, expires_at)
SELECT content.id, now() FROM roost.file_contents AS content;
INSERT INTO roost.uploads (id, kind, user_id, workspace_id, owner_id, path, expires_at)
SELECT workspace.id, 'whole', workspace.user_id, workspace.id, workspace.user_id, 'f', now()
FROM roost.workspaces AS workspace WHERE workspace.path = '/u';
INSERT INTO roost.upload_chunks (upload_id, from_byte, size, chunk_hash)
SELECT upload.id, 0, 1, sha256('x') FROM roost.uploads AS upload;
SELECT is(
    as_caller('roost_api', person.id, format('SELECT count(*) FROM roost.%I', probed.name)),
    CASE WHEN probed.is_own THEN seen.own ELSE seen.members END,
    format('of %s %s sees %s', probed.name, seen.name, seen.members)
)
FROM (
    VALUES ('ada', '1', '1'), ('grace', '1', '2'), ('joan', '0', '0'), ('nobody', '0', '0')
) AS seen (name, own, members)
JOIN person ON person.name = seen.name
CROSS JOIN (
    VALUES
        ('storage_usage', true),
        ('file_contents', false),
        ('content_chunks', false),
        ('chunk_leases', false),
        ('content_leases', false),
        ('uploads', true),
        ('upload_chunks', true)
) AS probed (name, is_own);
SELECT throws_ok(
    calling('roost_api', person.id, refused.command),
    '42501',
    NULL,
    format('%s may not: %s', person.name, refused.command)
)
FROM person
CROSS JOIN (
    SELECT format(command.form, probed.name)
    FROM (
        VALUES
            ('storage_usage'), ('file_contents'), ('content_chunks'), ('chunk_leases'),
            ('content_leases'), ('uploads'), ('upload_chunks'), ('file_chunks'), ('plan_limits'),
            ('unused_chunks')
    ) AS probed (name)
    CROSS JOIN (
        VALUES ('DELETE FROM roost.%I'), ('INSERT INTO roost.%I DEFAULT VALUES')
    ) AS command (form)
    UNION ALL
    SELECT format('SELECT count(*) FROM roost.%I', probed.name)
    FROM (VALUES ('file_chunks'), ('plan_limits'), ('unused_chunks')) AS probed (name)
    UNION ALL
    SELECT unnest(
        ARRAY[
            'UPDATE roost.storage_usage SET bytes = 0',
            'UPDATE roost.file_contents SET size = 0',
            'UPDATE roost.content_chunks SET size = 1',
            'UPDATE roost.chunk_leases SET expires_at = now()',
            'UPDATE roost.content_leases SET expires_at = now()',
            'UPDATE roost.uploads SET received = 0',
            'UPDATE roost.upload_chunks SET size = 1'
        ]
    )
) AS refused (command)
WHERE person.name = 'ada';
SELECT is(
    (
        SELECT count(*)
        FROM roost.file_contents
        JOIN roost.content_chunks ON content_chunks.content_id = file_contents.id
        JOIN roost.content_leases ON content_leases.content_id = file_contents.id
        JOIN roost.uploads ON uploads.workspace_id = file_contents.workspace_id
        JOIN roost.upload_chunks ON upload_chunks.upload_id = uploads.id
    ),
    2::bigint,
    'contents and uploads are as they were'
);

-- Files: read by whoever is in their workspace, written by its owner and editors. Ada owns one in
-- which grace edits; what is in grace's own nobody else sees.
INSERT INTO roost.workspaces (id, user_id, name, path)
VALUES
('00000000-0000-7000-e000-000000000004', '00000000-0000-7000-8000-00000000000a', 'F', '/f'),
('00000000-0000-7000-e000-000000000005', '00000000-0000-7000-8000-00000000000b', 'G', '/g');
INSERT INTO roost.workspace_members (workspace_id, user_id, role, left_at)
SELECT
    ('00000000-0000-7000-e000-00000000000' || workspace)::uuid, person.id,
    role::roost.workspace_role, left_at
FROM (
    VALUES
        ('4', 'ada', 'owner', NULL),
        ('4', 'grace', 'viewer', NULL),
        ('4', 'joan', 'editor', now()),
        ('5', 'grace', 'owner', NULL)
) AS member (workspace, name, role, left_at)
JOIN person ON person.name = member.name;
INSERT INTO roost.file_sync_state (workspace_id, name, kind, content_id, hash, size)
SELECT workspace.id, workspace.name, 'file', stored.id, sha256(''), 0
FROM roost.workspaces AS workspace
CROSS JOIN LATERAL (SELECT roost.store_content(workspace.id, '') AS id) AS stored
WHERE workspace.name IN ('F', 'G');
INSERT INTO roost.file_versions (file_id, version, workspace_id, content_id, hash, size)
SELECT file.id, 1, file.workspace_id, file.content_id, file.hash, file.size
FROM roost.file_sync_state AS file;
SELECT is(
    as_caller(
        'roost_api', person.id,
        'SELECT concat((SELECT string_agg(name, '''' ORDER BY name) FROM roost.file_sync_state),'
        ' '' '', (SELECT count(*) FROM roost.file_versions))'
    ),
    seen.answer,
    format('of files and their versions %s sees %s', seen.name, seen.answer)
)
FROM (
    VALUES ('ada', 'F 1'), ('grace', 'FG 2'), ('joan', ' 0'), ('nobody', ' 0')
) AS seen (name, answer)
JOIN person ON person.name = seen.name;
SELECT throws_ok(
    calling('roost_api', person.id, refused.command),
    '42501',
    NULL,
    format('%s may not: %s', refused.name, refused.command)
)
FROM (
    SELECT listed.name, format(command.text, listed.workspace) AS command
    FROM (
        VALUES ('ada', 5), ('grace', 4), ('joan', 4), ('nobody', 4)
    ) AS listed (name, workspace)
    CROSS JOIN (
        VALUES
            (
                'INSERT INTO roost.file_sync_state (workspace_id, name, kind)'
                ' VALUES (''00000000-0000-7000-e000-00000000000%s'', ''x'', ''folder'')'
            ),
            (
                'INSERT INTO roost.file_versions'
                ' (file_id, version, workspace_id, content_id, hash, size) VALUES'
                ' (''00000000-0000-7000-e000-000000000004'', 2,'
                ' ''00000000-0000-7000-e000-00000000000%s'','
                ' ''00000000-0000-7000-e000-000000000004'', sha256(''''), 0)'
            )
    ) AS command (text)
    UNION ALL
    VALUES
    ('ada', 'UPDATE roost.file_sync_state SET change_seq = 1'),
    ('ada', 'UPDATE roost.file_sync_state SET workspace_id = workspace_id'),
    ('ada', 'UPDATE roost.file_sync_state SET id = id'),
    ('ada', 'DELETE FROM roost.file_sync_state'),
    ('ada', 'UPDATE roost.file_versions SET hash = NULL'),
    ('ada', 'DELETE FROM roost.file_versions'),
    ('ada', 'UPDATE roost.workspaces SET deleted_at = now()')
) AS refused (name, command)
JOIN person ON person.name = refused.name;
SELECT is(
    rows_changed('roost_api', person.id, changed.command),
    changed.rows,
    format('%s changes %s: %s', changed.name, changed.rows, changed.command)
)
FROM (
    VALUES
        ('ada', 'UPDATE roost.file_sync_state SET metadata = ''{}''', 1::bigint),
        ('grace', 'UPDATE roost.file_sync_state SET metadata = ''{}''', 1),
        ('joan', 'UPDATE roost.file_sync_state SET metadata = ''{}''', 0),
        ('nobody', 'UPDATE roost.file_sync_state SET metadata = ''{}''', 0),
        ('ada', 'UPDATE roost.file_versions SET expires_at = now()', 1),
        ('grace', 'UPDATE roost.file_versions SET expires_at = now()', 1),
        ('joan', 'UPDATE roost.file_versions SET expires_at = now()', 0),
        ('nobody', 'UPDATE roost.file_versions SET expires_at = now()', 0)
) AS changed (name, command, rows)
JOIN person ON person.name = changed.name;

SELECT * FROM finish();

ROLLBACK;

-- Messages: sending, repeating, editing, deleting, threads, mentions, attachments and history; each
-- kind of caller, each refusal.
BEGIN;

SELECT plan(344);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'member@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000e', 'admin@example.com');
UPDATE roost.users AS account
SET display_name = named.name
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000a'::uuid, 'Ada'),
    ('00000000-0000-7000-8000-00000000000b'::uuid, 'Grâce'),
    ('00000000-0000-7000-8000-00000000000c'::uuid, 'Outsider'),
    ('00000000-0000-7000-8000-00000000000d'::uuid, 'Build Bot'),
    ('00000000-0000-7000-8000-00000000000e'::uuid, 'Build')
) AS named (id, name)
WHERE account.id = named.id;
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000ea'
);
INSERT INTO roost.conversations (id, user_id)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a'),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'viewer'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000d', 'member'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000e', 'admin'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner'
);

-- send_message: who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        format(
            'SELECT api.send_message(%L, ''{"text": "no"}'', id => %s)',
            caller.conversation, made.id
        )
    ),
    caller.sqlstate,
    NULL,
    format('%s may not send%s', caller.name, made.how)
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
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        '00000000-0000-7000-9000-000000000001', 'RO202', 'a viewer'
    ),
    (
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-9000-0000000000ff', 'RO201', 'anyone to no conversation'
    )
) AS caller (role, id, conversation, sqlstate, name)
CROSS JOIN (VALUES ('NULL', ''), ('gen_random_uuid()', ', with an id')) AS made (id, how);
SELECT is((SELECT count(*) FROM roost.messages), 0::bigint, 'and nothing was sent');
SELECT is(
    (SELECT sum(last_seq) FROM roost.conversations), 0::numeric, 'no number was used up'
);

-- send_message: what it does
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hello"}',
            id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '1',
    'the first message has seq 1'
);
SELECT results_eq(
    $$
        SELECT id, conversation_id, seq, user_id, device_id, message_type, content::jsonb
        FROM roost.messages
    $$,
    $$ VALUES (
        '00000000-0000-7000-a000-000000000001'::uuid,
        '00000000-0000-7000-9000-000000000001'::uuid,
        1::bigint,
        '00000000-0000-7000-8000-00000000000a'::uuid,
        '00000000-0000-7000-8000-0000000000da'::uuid,
        'text',
        '{"text": "hello"}'::jsonb
    ) $$,
    'it is stored with who sent it and on which device'
);
SELECT results_eq(
    $$
        SELECT
            topic, event_offset, event, actor_id, payload ->> 'id', payload -> 'content' ->> 'text'
        FROM realtime.events
        WHERE event <> 'account.updated'
    $$,
    $$ VALUES (
        'conversation:00000000-0000-7000-9000-000000000001', 1::bigint, 'message.created',
        '00000000-0000-7000-8000-00000000000a'::uuid, '00000000-0000-7000-a000-000000000001',
        'hello'
    ) $$,
    'and the conversation gets it as an event under the same number'
);

-- send_message: the same id again
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hello"}',
            id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '1',
    'the same id and body answer the first message'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(%s, id => ''00000000-0000-7000-a000-000000000001'')',
            other.arguments
        )
    ),
    'RO301',
    NULL,
    'the same id is refused with another ' || other.part
)
FROM (
    VALUES
    ('''00000000-0000-7000-9000-000000000001'', ''{"text": "bye"}''', 'content'),
    ('''00000000-0000-7000-9000-000000000002'', ''{"text": "hello"}''', 'conversation'),
    (
        '''00000000-0000-7000-9000-000000000001'', ''{"text": "hello"}'', message_type => ''code''',
        'type'
    ),
    (
        '''00000000-0000-7000-9000-000000000001'', ''{"text": "hello"}'', metadata => ''{"a": 1}''',
        'metadata'
    )
) AS other (arguments, part);
SELECT is((SELECT count(*) FROM roost.messages), 1::bigint, 'still one message');
SELECT is(
    (SELECT last_seq FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000001'),
    1::bigint,
    'and one number'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000c',
        $$ SELECT api.send_message(
            (api.create_conversation()).id, '{"text": "no"}',
            id => '00000000-0000-7000-a000-000000000001'
        ) $$
    ),
    '23505',
    NULL,
    'an id of a message that one can''t see is taken all the same'
);

-- send_message: bad input
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', %s)', bad.arguments
        )
    ),
    bad.sqlstate,
    NULL,
    'refused: ' || left(bad.arguments, 60)
)
FROM (
    VALUES
    ('NULL', '23502'),
    ('''"text"''', '23514'),
    ('jsonb_build_object(''x'', repeat(''x'', 262144))', '23514'),
    -- A kilobyte as it is sent, and 13 MB as everybody would get it.
    (
        '(SELECT jsonb_build_object(''x'', jsonb_agg(''1e131071''::jsonb))'
        ' FROM generate_series(1, 100))',
        '23514'
    ),
    ('''{}'', message_type => ''Not a type''', '23514'),
    ('''{"text": "x"}'', metadata => ''3''', '23514'),
    ('''{"text": "x"}'', parent_message_id => gen_random_uuid()', '23503'),
    ('''{"text": "x"}'', attachments => NULL', 'RO302'),
    ('''{"text": "x"}'', attachments => ''{}''', 'RO302'),
    (
        '''{"text": "x"}'', attachments => (SELECT jsonb_agg(1) FROM generate_series(1, 21))',
        'RO302'
    )
) AS bad (arguments, sqlstate);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT api.send_message(
            '00000000-0000-7000-9000-000000000002', '{"text": "x"}',
            parent_message_id => '00000000-0000-7000-a000-000000000001') $$
    ),
    '23503',
    NULL,
    'a parent in another conversation is refused'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "answer"}',
            parent_message_id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '2',
    'an answer in the same conversation gets the next number, without a gap'
);

-- list_messages
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.list_messages('00000000-0000-7000-9000-000000000001') $$
    ),
    caller.sqlstate,
    NULL,
    caller.name || ' may not list messages'
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format(
            'SELECT string_agg(seq::text, '','') FROM api.list_messages(%L%s)',
            '00000000-0000-7000-9000-000000000001', page.arguments
        )
    ),
    page.answer,
    'a viewer reads' || page.arguments
)
FROM (
    VALUES
    ('', '2,1'),
    (', page_size => 1', '2'),
    (', before_seq => 2', '1'),
    (', after_seq => 0', '1,2'),
    (', after_seq => 2', NULL)
) AS page (arguments, answer);

SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT api.list_messages(
                '00000000-0000-7000-9000-000000000001', before_seq => 2, after_seq => 0
            )
        $$
    ),
    'RO302',
    NULL,
    'but not in both directions at once'
);

-- list_messages: a page in bytes. A message here has 250,011 with its metadata, so that 17 have
-- more than 4 MiB.
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000002', step.number, '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object('text', repeat('x', 249997))
FROM generate_series(1, 20) AS step (number);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT concat_ws('' '', count(*), min(seq), max(seq)) FROM api.list_messages(%L, %s)',
            '00000000-0000-7000-9000-000000000002', page.arguments
        )
    ),
    page.answer,
    'large messages, ' || page.arguments
)
FROM (
    VALUES
    ('after_seq => 0', '17 1 17'),
    ('after_seq => 17', '3 18 20'),
    ('after_seq => 20', '0'),
    ('before_seq => 21', '17 4 20'),
    ('before_seq => 21, page_size => 16', '16 5 20')
) AS page (arguments, answer);

-- Content by type
CREATE FUNCTION pg_temp.sending(p_user_id text, p_arguments text)
RETURNS text
LANGUAGE sql
RETURN calling(
    'roost_user', ('00000000-0000-7000-8000-00000000000' || p_user_id)::uuid,
    format('SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', %s)', p_arguments)
);
SELECT throws_ok(
    pg_temp.sending('a', format('%L, %L', bad.content, bad.type)),
    '23514',
    'The content is not what the message type asks for.',
    format('%s is not sent as %s', bad.content, bad.type)
)
FROM (
    VALUES
    ('text', '{}'),
    ('text', '{"text": ""}'),
    ('text', '{"text": 1}'),
    ('text', '{"text": null}'),
    ('system', '{}'),
    ('code', '{}'),
    ('code', '{"code": 1}'),
    ('code', '{"code": "x", "language": 1}'),
    ('code', '{"code": "x", "filename": {}}'),
    ('tool_call', '{"arguments": {}}'),
    ('tool_call', '{"name": "", "arguments": {}}'),
    ('tool_call', '{"name": 1, "arguments": {}}'),
    ('tool_call', '{"name": "x"}'),
    ('tool_call', '{"name": "x", "arguments": []}'),
    ('tool_call', '{"name": "x", "arguments": {}, "call_id": 1}'),
    ('tool_result', '{"call_id": "1"}'),
    ('tool_result', '{"result": 1, "call_id": 1}'),
    ('tool_result', '{"result": 1, "is_error": "no"}'),
    ('file', '{}'),
    ('file', '{"text": "x"}')
) AS bad (type, content);
SELECT throws_ok(
    pg_temp.sending(
        'a',
        '''{"text": 1}'', ''file'', attachments => ''[{"name": "a", "media_type": "a/b", "size": 1,'
        ' "url": "https://example.com"}]'''
    ),
    '23514',
    'The content is not what the message type asks for.',
    'a file''s text is a string'
);
SELECT lives_ok(
    pg_temp.sending('a', format('%L, %L', good.content, good.type)),
    format('%s is sent as %s', good.content, good.type)
)
FROM (
    VALUES
    ('text', '{"text": "x", "format": "markdown"}'),
    ('system', '{"text": "x"}'),
    ('code', '{"code": ""}'),
    ('code', '{"code": "x", "language": "sql", "filename": "x.sql"}'),
    ('tool_call', '{"name": "x", "arguments": {"a": [1]}, "call_id": "1"}'),
    ('tool_result', '{"result": null}'),
    ('tool_result', '{"result": "x", "call_id": "1", "is_error": true}'),
    ('weather.report', '{}')
) AS good (type, content);
SELECT throws_ok(
    pg_temp.sending('d', '''{"text": "x"}'', ''system'''),
    'RO202',
    NULL,
    'a member sends nothing in the name of the system'
);
SELECT lives_ok(
    pg_temp.sending('e', '''{"text": "x"}'', ''system'''), 'an admin may'
);
SELECT is(
    (SELECT last_seq FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000001'),
    11::bigint,
    'what was refused took no number'
);
SELECT results_eq(
    $$
        SELECT last_read_seq, last_delivered_seq, read_number
        FROM roost.conversation_participants
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
        ORDER BY user_id
    $$,
    $$ VALUES
        (10::bigint, 10::bigint, 10::bigint), (0, 0, 0), (0, 0, 0), (11, 11, 11) $$,
    'who sends has read and received what is above; nobody else has'
);

-- Archived conversations take nothing.
UPDATE roost.conversations SET archived_at = now()
WHERE id = '00000000-0000-7000-9000-000000000001';
SELECT throws_ok(
    pg_temp.sending('a', format('''{"text": "x"}'', id => %s', made.id)),
    'RO203',
    NULL,
    format('nothing is sent to an archived conversation, id %s', made.id)
)
FROM (VALUES ('NULL'), ('gen_random_uuid()')) AS made (id);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hello"}',
            id => '00000000-0000-7000-a000-000000000001'
        )).seq $$
    ),
    '1',
    'but what was sent before is answered when it is sent again'
);
UPDATE roost.conversations SET archived_at = NULL
WHERE id = '00000000-0000-7000-9000-000000000001';

-- Mentions
SELECT is(
    (
        SELECT coalesce(string_agg(right(found.id::text, 1), '' ORDER BY found.place), '')
        FROM unnest(
            roost.find_mentions('00000000-0000-7000-9000-000000000001', mention.text)
        ) WITH ORDINALITY AS found (id, place)
    ),
    mention.letters,
    format('%s mentions %L', left(mention.text, 60), mention.letters)
)
FROM (
    VALUES
    ('nobody here', ''),
    ('@', ''),
    ('@ ada', ''),
    ('@ada', 'a'),
    ('@Ada, are you there?', 'a'),
    ('(@ADA)', 'a'),
    ('@ada''s idea', 'a'),
    ('@ada. And @grace!', 'ab'),
    ('@gr' || chr(226) || 'ce', 'b'),
    ('@ada @ada', 'a'),
    ('@grace @ada', 'ba'),
    ('@build', 'e'),
    ('@build bot', 'd'),
    ('@build bots', 'e'),
    ('@adam', ''),
    ('@ada_', ''),
    ('@ada.lovelace', ''),
    ('@ada@example.com', 'a'),
    ('@ada@example.community', ''),
    ('@Grace@Example.com.', 'b'),
    ('write to ada@example.com', ''),
    ('x@ada', ''),
    ('@@ada', 'a'),
    ('@outsider', ''),
    ('@outsider@example.com', ''),
    ('@00000000-0000-7000-8000-00000000000D', 'd'),
    ('@00000000-0000-7000-8000-00000000000c', ''),
    (repeat('@ada ', 50) || '@grace', 'a'),
    (repeat('x', 65536) || ' @ada', '')
) AS mention (text, letters);
UPDATE roost.users SET display_name = 'Build' WHERE id = '00000000-0000-7000-8000-00000000000d';
SELECT is(
    cardinality(roost.find_mentions('00000000-0000-7000-9000-000000000001', '@build')),
    2,
    'two of one name are both mentioned'
);
UPDATE roost.conversation_participants SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-00000000000e';
SELECT is(
    roost.find_mentions('00000000-0000-7000-9000-000000000001', '@build'),
    '{00000000-0000-7000-8000-00000000000d}'::uuid[],
    'somebody who has left is not'
);
UPDATE roost.conversation_participants SET left_at = NULL
WHERE user_id = '00000000-0000-7000-8000-00000000000e';
SELECT is(
    cardinality(roost.find_mentions('00000000-0000-7000-9000-000000000001', '@build')),
    2,
    'once they are back they are'
);
-- Here the name of one is an address, an id or the beginning of a name of somebody else's.
CREATE FUNCTION pg_temp.mentioned_as(p_name text, p_text text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE roost.users SET display_name = p_name
    WHERE id = '00000000-0000-7000-8000-00000000000e';

    RETURN (
        SELECT coalesce(string_agg(right(found.id::text, 1), '' ORDER BY found.place), '')
        FROM unnest(
            roost.find_mentions('00000000-0000-7000-9000-000000000001', p_text)
        ) WITH ORDINALITY AS found (id, place)
    );
END;
$$;
SELECT is(
    pg_temp.mentioned_as(mention.name, mention.text),
    mention.letters,
    format('with the name %L, %L mentions %L', mention.name, mention.text, mention.letters)
)
FROM (
    VALUES
    ('grace@example.com', '@grace@example.com, hello', 'be'),
    ('grace@example', '@grace@example.com @grace@example', 'be'),
    ('00000000-0000-7000-8000-00000000000d', '@00000000-0000-7000-8000-00000000000d', 'de'),
    (
        '00000000-0000-7000-8000-00000000000d Build',
        '@00000000-0000-7000-8000-00000000000d build', 'e'
    ),
    ('00000000', '@00000000-0000-7000-8000-00000000000d0 @00000000: yes', 'e'),
    ('Ada', '@grace @ADA', 'bae'),
    ('Ada  Lovelace, Dr.', '@ada  lovelace, dr. (@ada, dr.)', 'ea'),
    ('Ada of the many words', '@ada of the many', 'a'),
    ('ada.l', '@ada.l @ada.lo @ada.-', 'ea'),
    ('Straße ' || chr(64022), '@strasse ' || chr(29482), 'e'),
    ('C++', '@c++, @c+', 'e'),
    (chr(769), '@' || chr(769), ''),
    (repeat(chr(65018), 15), '@' || repeat(chr(65018), 15), ''),
    ('@home', '@@home', ''),
    ('x', '@y!y!y@example.com @x', 'e'),
    ('x', '@y@,,,,,,,,,,,,,,,,,,,, @x', 'e'),
    ('x', '@y@example.com@ @x', 'e'),
    ('', '@ @, @x', '')
) AS mention (name, text, letters);
-- As they were before release 0.2.0, and where they have left as well.
UPDATE roost.users SET display_name = 'Build'
WHERE id = '00000000-0000-7000-8000-00000000000e';
UPDATE roost.conversation_participants SET mention_name = NULL;
SELECT is(
    (
        SELECT string_agg(right(found.id::text, 1), '' ORDER BY found.place)
        FROM unnest(
            roost.find_mentions('00000000-0000-7000-9000-000000000001', mention.text)
        ) WITH ORDINALITY AS found (id, place)
    ),
    mention.letters,
    format('names that are not looked up yet: %s mentions %s', mention.text, mention.letters)
)
FROM (
    VALUES ('@GRACE, @ada. @adam', 'ba'), ('@build', 'de'), ('@grace@example.com @gracee', 'b')
) AS mention (text, letters);
UPDATE roost.users SET display_name = 'Bob'
WHERE id = '00000000-0000-7000-8000-00000000000e';
SELECT is(
    (SELECT array_agg(roost.backfill_participants(3)) FROM generate_series(1, 3)),
    '{3,1,0}'::bigint[],
    'backfill_participants looks up those that are left, in batches'
);
SELECT results_eq(
    $$
        SELECT right(user_id::text, 1), mention_name COLLATE "default"
        FROM roost.conversation_participants
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
        ORDER BY user_id
    $$,
    $$ VALUES ('a', 'ada'), ('b', 'grace'), ('d', 'build'), ('e', 'bob') $$,
    'and all have theirs'
);
UPDATE roost.users SET display_name = 'Build'
WHERE id = '00000000-0000-7000-8000-00000000000e';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hi @ada"}',
            id => '00000000-0000-7000-a000-000000000010'
        )).mentions $$
    ),
    '{00000000-0000-7000-8000-00000000000a}',
    'a message has its mentions'
);
SELECT results_eq(
    'SELECT user_id, message_id, conversation_id FROM roost.message_mentions',
    $$ VALUES (
        '00000000-0000-7000-8000-00000000000a'::uuid, '00000000-0000-7000-a000-000000000010'::uuid,
        '00000000-0000-7000-9000-000000000001'::uuid
    ) $$,
    'and they have it'
);

-- Attachments
SELECT throws_ok(
    pg_temp.sending(
        'd', format('''{"text": "x"}'', attachments => %L', jsonb_build_array(bad.attachment))
    ),
    bad.sqlstate,
    NULL,
    format('refused: %s', bad.attachment)
)
FROM (
    VALUES
    ('1'::jsonb, 'RO302'),
    ('{}', 'RO302'),
    ('{"name": 1}', 'RO302'),
    ('{"name": "a"}', 'RO302'),
    ('{"name": "a", "media_type": "a/b"}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": "1"}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": 1.5}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": -1}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": 1, "sha256": 1}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": 1, "file_id": "1"}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": 1, "url": 1}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": 1, "url": "https://x.example", "x": 1}', 'RO302'),
    ('{"name": "a", "media_type": "a/b", "size": 1}', '23514'),
    ('{"name": "a/b", "media_type": "a/b", "size": 1, "url": "https://x.example"}', '23514'),
    ('{"name": "a", "media_type": "A", "size": 1, "url": "https://x.example"}', '23514'),
    ('{"name": "a", "media_type": "a/b", "size": 1, "url": "ftp://x.example"}', '23514'),
    (
        '{"name": "a", "media_type": "a/b", "size": 1,'
        ' "file_id": "00000000-0000-7000-8000-000000000001"}',
        '23514'
    )
) AS bad (attachment, sqlstate);
SELECT is(
    (SELECT count(*) FROM roost.message_attachments), 0::bigint, 'and nothing was attached'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{}', 'file',
            id => '00000000-0000-7000-a000-000000000011',
            attachments => '[
                {"name": "b.png", "media_type": "image/png", "size": 3, "url": "https://x.example"},
                {"name": "a.txt", "media_type": "text/plain", "size": 0,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "file_id": "00000000-0000-7000-b000-000000000001"}
            ]'
        )).attachments @? '$[1] ? (@.name == "a.txt" && @.size == 0 && @.url == null)' $$
    ),
    'true',
    'a file is sent with what is attached'
);
SELECT results_eq(
    $$
        SELECT message.attachments -> (attached.place - 1)::integer, attached.seq, attached.name
        FROM roost.message_attachments AS attached
        JOIN roost.messages AS message ON message.id = attached.message_id
        ORDER BY attached.place
    $$,
    $$
        SELECT
            jsonb_build_object(
                'id', id, 'name', name, 'media_type', media_type, 'size', size, 'sha256', sha256,
                'file_id', file_id, 'url', url
            ),
            13::bigint,
            name
        FROM roost.message_attachments
        ORDER BY place
    $$,
    'in the message as in the rows'
);

-- The second wall of what hangs on a message: whoever does not see it sees none of that
SELECT is(
    as_caller(
        'roost_api', ('00000000-0000-7000-8000-00000000000' || caller.letter)::uuid,
        $$
            SELECT concat_ws(
                ' ',
                (
                    SELECT count(*) FROM roost.message_changes
                    WHERE conversation_id = '00000000-0000-7000-9000-000000000001' AND seq > 11
                ),
                (SELECT count(*) FROM roost.message_attachments),
                (SELECT count(*) FROM roost.message_mentions)
            )
        $$
    ),
    caller.answer,
    format('changes, attachments and mentions for %s: %s', caller.letter, caller.answer)
)
FROM (VALUES ('a', '2 2 1'), ('b', '2 2 0'), ('c', '0 0 0')) AS caller (letter, answer);
SELECT throws_ok(
    calling(
        'roost_api', ('00000000-0000-7000-8000-00000000000' || caller.letter)::uuid,
        $$
            INSERT INTO roost.message_attachments (
                message_id, conversation_id, seq, place, name, media_type, size, url
            )
            VALUES (
                '00000000-0000-7000-a000-000000000011', '00000000-0000-7000-9000-000000000001', 13,
                3, 'a', 'a/b', 1, 'https://x.example'
            )
        $$
    ),
    '42501',
    NULL,
    format('%s attaches nothing to somebody else''s message', caller.letter)
)
FROM (VALUES ('a'), ('c')) AS caller (letter);
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000a', wall.command),
    '42501',
    NULL,
    'refused: ' || wall.command
)
FROM (
    VALUES
    ('UPDATE roost.message_attachments SET name = ''x'''),
    ('DELETE FROM roost.message_attachments'),
    ('DELETE FROM roost.message_mentions'),
    ('DELETE FROM roost.message_changes'),
    ('UPDATE roost.message_changes SET before = NULL'),
    ('SELECT FROM roost.message_backfill')
) AS wall (command);

-- Threads
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            $$ SELECT concat_ws(' ', seq, root_message_id) FROM api.send_message(
                '00000000-0000-7000-9000-000000000001', '{"text": "reply"}', id => %L,
                parent_message_id => %L
            ) $$,
            reply.id, reply.parent
        )
    ),
    reply.answer,
    'a reply to ' || reply.parent
)
FROM (
    VALUES
    (
        '00000000-0000-7000-a000-000000000012', '00000000-0000-7000-a000-000000000010',
        '14 00000000-0000-7000-a000-000000000010'
    ),
    (
        '00000000-0000-7000-a000-000000000013', '00000000-0000-7000-a000-000000000012',
        '15 00000000-0000-7000-a000-000000000010'
    )
) AS reply (id, parent, answer);
SELECT results_eq(
    $$
        SELECT reply_count, change_seq, version, updated_at = created_at FROM roost.messages
        WHERE id = '00000000-0000-7000-a000-000000000010'
    $$,
    'VALUES (2::bigint, 15::bigint, 1::bigint, true)',
    'replies are counted where the thread began, which is no edit'
);
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.list_thread('00000000-0000-7000-a000-000000000010') $$
    ),
    caller.sqlstate,
    NULL,
    caller.name || ' may not read a thread'
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format(
            'SELECT string_agg(seq::text, '','') FROM api.list_thread(%L%s)',
            '00000000-0000-7000-a000-0000000000' || page.id, page.arguments
        )
    ),
    page.answer,
    format('a viewer reads the thread of %s%s', page.id, page.arguments)
)
FROM (
    VALUES
    ('10', '', '12,14,15'),
    ('13', '', '12,14,15'),
    ('10', ', page_size => 2', '12,14'),
    ('10', ', 12', '14,15'),
    ('10', ', 15', NULL),
    ('11', '', '13')
) AS page (id, arguments, answer);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.list_thread('00000000-0000-7000-a000-000000000010', page_size => 0) $$
    ),
    'RO302',
    NULL,
    'a page has rows'
);

-- get_message
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        $$ SELECT api.get_message('00000000-0000-7000-a000-000000000010') $$
    ),
    caller.sqlstate,
    NULL,
    caller.name || ' may not read a message'
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT (api.get_message('00000000-0000-7000-a000-000000000010')).seq $$
    ),
    '12',
    'a viewer may'
);

-- Edit, delete, restore and purge: who may not, and that nothing has changed then
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(message ORDER BY conversation_id, seq) FROM roost.messages AS message),
        (SELECT json_agg(made ORDER BY conversation_id, seq) FROM roost.message_changes AS made),
        (SELECT json_agg(named ORDER BY message_id, user_id) FROM roost.message_mentions AS named),
        (SELECT json_agg(attached ORDER BY id) FROM roost.message_attachments AS attached),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event)
    );
$$;
CREATE TEMPORARY TABLE before AS SELECT pg_temp.state() AS state;
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, 'SELECT api.' || verb.call),
    CASE
        WHEN caller.name = 'an admin' THEN 'RO202'
        WHEN verb.name = 'edit' AND caller.sqlstate IS NULL THEN 'RO202'
        ELSE coalesce(caller.sqlstate, 'RO202')
    END,
    NULL,
    format('%s may not %s', caller.name, verb.name)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider'),
    ('roost_user', '00000000-0000-7000-8000-00000000000b', 'RO202', 'a viewer'),
    ('roost_user', '00000000-0000-7000-8000-00000000000d', 'RO202', 'another member'),
    ('roost_user', '00000000-0000-7000-8000-00000000000e', NULL, 'an admin')
) AS caller (role, id, sqlstate, name)
JOIN (
    VALUES
    ('edit', 'edit_message(''00000000-0000-7000-a000-000000000012'', ''{"text": "no"}'', 1)'),
    ('delete', 'delete_message(''00000000-0000-7000-a000-000000000012'')'),
    ('restore', 'restore_message(''00000000-0000-7000-a000-000000000012'')'),
    ('purge', 'purge_message(''00000000-0000-7000-a000-000000000012'')')
) AS verb (name, call) ON caller.name <> 'an admin' OR verb.name = 'edit';
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.%s(gen_random_uuid()%s)', verb.name, verb.arguments)
    ),
    'RO201',
    NULL,
    verb.name || ' of no message'
)
FROM (
    VALUES
    ('edit_message', ', ''{"text": "x"}'', 1'),
    ('delete_message', ''),
    ('restore_message', ''),
    ('purge_message', ''),
    ('get_message', ''),
    ('list_thread', ''),
    ('list_message_changes', '')
) AS verb (name, arguments);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'and nothing has changed');

-- edit_message
CREATE FUNCTION pg_temp.editing(p_id text, p_arguments text)
RETURNS text
LANGUAGE sql
RETURN format(
    'SELECT concat_ws('' '', version, content ->> ''text'', mentions, change_seq)'
    ' FROM api.edit_message(''00000000-0000-7000-a000-0000000000%s'', %s)',
    p_id, p_arguments
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        pg_temp.editing('10', bad.arguments)
    ),
    bad.sqlstate,
    NULL,
    'refused: edit to ' || bad.arguments
)
FROM (
    VALUES
    ('''{}'', 1', '23514'),
    ('''{"text": ""}'', 1', '23514'),
    ('''3'', 1', '23514'),
    ('NULL, 1', '23502'),
    ('''{"text": "x"}'', 1, ''[]''', '23514'),
    ('''{"text": "x"}'', 0', 'RO303'),
    ('''{"text": "x"}'', 2', 'RO303'),
    ('''{"text": "x"}'', NULL', 'RO303')
) AS bad (arguments, sqlstate);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'and nothing has changed');
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        pg_temp.editing('10', '''{"text": "hi @ada"}'', 1')
    ),
    '1 hi @ada {00000000-0000-7000-8000-00000000000a} 15',
    'the same content is no edit'
);
SELECT is(pg_temp.state(), (SELECT state FROM before), 'and nothing has changed');
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        pg_temp.editing('10', '''{"text": "hi @grace"}'', 1')
    ),
    '2 hi @grace {00000000-0000-7000-8000-00000000000b} 16',
    'an edit makes a version'
);
SELECT results_eq(
    'SELECT user_id FROM roost.message_mentions',
    $$ VALUES ('00000000-0000-7000-8000-00000000000b'::uuid) $$,
    'mentions follow'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        pg_temp.editing('10', '''{"text": "hi @grace"}'', 1')
    ),
    '2 hi @grace {00000000-0000-7000-8000-00000000000b} 16',
    'which is not made twice when it is sent again'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$
            SELECT concat_ws(' ', version, metadata, edited_at IS NULL) FROM api.edit_message(
                '00000000-0000-7000-a000-000000000011', '{}', 1, '{"a": 1}'
            )
        $$
    ),
    '2 {"a": 1} t',
    'metadata can be edited alone'
);
SELECT results_eq(
    $$
        SELECT event_offset, event, about_offset, payload ->> 'version', payload ->> 'change_seq'
        FROM realtime.events
        WHERE event_offset > 15 AND event <> 'account.updated'
        ORDER BY event_offset
    $$,
    $$ VALUES
        (16::bigint, 'message.updated', 12::bigint, '2', '16'),
        (17, 'message.updated', 13, '2', '17') $$,
    'everybody is told'
);

-- delete_message and restore_message
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        format(
            $$
                SELECT concat_ws(
                    ' ', version, content, metadata, mentions, attachments, deleted_at IS NOT NULL
                )
                FROM api.delete_message('00000000-0000-7000-a000-0000000000%s')
            $$,
            deleted.id
        )
    ),
    deleted.answer,
    format('its author deletes %s, %s', deleted.id, deleted.time)
)
FROM (
    VALUES
    ('10', '3 {} {} [] t', 'once'),
    ('10', '3 {} {} [] t', 'twice'),
    ('11', '3 {} {} [] t', 'once')
) AS deleted (id, answer, time);
SELECT is_empty(
    $$
        SELECT event_offset FROM realtime.events
        WHERE payload ->> 'id' IN (
            '00000000-0000-7000-a000-000000000010', '00000000-0000-7000-a000-000000000011'
        )
        AND (payload -> 'content' ->> 'text' IS NOT NULL OR payload ->> 'deleted_at' IS NULL)
    $$,
    'no stored event shows what it said'
);
SELECT is_empty('SELECT user_id FROM roost.message_mentions', 'nobody is mentioned any more');
SELECT results_eq(
    $$
        SELECT seq, version, before, user_id, device_id FROM roost.message_changes
        WHERE change_type = 'deleted'
    $$,
    $$ VALUES
        (
            18::bigint, 3::bigint, '{"content": {"text": "hi @grace"}, "metadata": {}}'::jsonb,
            '00000000-0000-7000-8000-00000000000d'::uuid,
            '00000000-0000-7000-8000-0000000000da'::uuid
        ),
        (
            19, 3, '{"content": {}, "metadata": {"a": 1}}', '00000000-0000-7000-8000-00000000000d',
            '00000000-0000-7000-8000-0000000000da'
        )
    $$,
    'what it said is kept for a restore, with who deleted it and where'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        pg_temp.editing('10', '''{"text": "x"}'', 3')
    ),
    'RO304',
    NULL,
    'a deleted message is not edited'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT (api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hi @ada"}',
            id => '00000000-0000-7000-a000-000000000010'
        )).version $$
    ),
    '3',
    'sent again with its first body, it is answered as it is'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        format(
            $$
                SELECT concat_ws(' ', version, content, mentions, jsonb_array_length(attachments))
                FROM api.restore_message('00000000-0000-7000-a000-0000000000%s')
            $$,
            restored.id
        )
    ),
    restored.answer,
    format('its author restores %s, %s', restored.id, restored.time)
)
FROM (
    VALUES
    ('10', '4 {"text": "hi @grace"} {00000000-0000-7000-8000-00000000000b} 0', 'once'),
    ('10', '4 {"text": "hi @grace"} {00000000-0000-7000-8000-00000000000b} 0', 'twice'),
    ('11', '4 {} {} 2', 'once')
) AS restored (id, answer, time);
SELECT results_eq(
    $$
        SELECT event_offset, event, payload ->> 'version' FROM realtime.events
        WHERE event_offset > 17 AND event <> 'account.updated'
        ORDER BY event_offset
    $$,
    $$ VALUES
        (18::bigint, 'message.deleted', '3'), (19, 'message.deleted', '3'),
        (20, 'message.restored', '4'), (21, 'message.restored', '4') $$,
    'each is told once'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000e',
        $$ SELECT (api.delete_message('00000000-0000-7000-a000-000000000010')).version $$
    ),
    '5',
    'an admin deletes what a member sent'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$ SELECT api.restore_message('00000000-0000-7000-a000-000000000010') $$
    ),
    'RO202',
    NULL,
    'which its author does not bring back'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT (api.restore_message('00000000-0000-7000-a000-000000000010')).version $$
    ),
    '6',
    'but the owner'
);

-- What it said in 0.1.0 needs not fit its type: it stays, and comes back.
ALTER TABLE roost.messages DISABLE TRIGGER USER;
INSERT INTO roost.messages (id, conversation_id, seq, user_id, content, parent_message_id)
VALUES
(
    '00000000-0000-7000-a000-000000000021', '00000000-0000-7000-9000-000000000002', 21,
    '00000000-0000-7000-8000-00000000000a', '{"n": 1}', NULL
),
(
    '00000000-0000-7000-a000-000000000022', '00000000-0000-7000-9000-000000000002', 22,
    '00000000-0000-7000-8000-00000000000a', '{"n": 2}', '00000000-0000-7000-a000-000000000021'
),
(
    '00000000-0000-7000-a000-000000000023', '00000000-0000-7000-9000-000000000002', 23,
    '00000000-0000-7000-8000-00000000000a', '{"n": 3}', '00000000-0000-7000-a000-000000000022'
);
ALTER TABLE roost.messages ENABLE TRIGGER USER;
UPDATE roost.conversations SET last_seq = 23 WHERE id = '00000000-0000-7000-9000-000000000002';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        old.query
    ),
    old.answer,
    'a message of 0.1.0: ' || old.query
)
FROM (
    VALUES
    (
        'SELECT (api.send_message(''00000000-0000-7000-9000-000000000002'', ''{"n": 1}'','
        ' id => ''00000000-0000-7000-a000-000000000021'')).seq',
        '21'
    ),
    ('SELECT (api.delete_message(''00000000-0000-7000-a000-000000000021'')).change_seq', '24'),
    ('SELECT (api.restore_message(''00000000-0000-7000-a000-000000000021'')).content', '{"n": 1}'),
    (
        'SELECT (api.send_message(''00000000-0000-7000-9000-000000000002'', ''{"text": "x"}'','
        ' parent_message_id => ''00000000-0000-7000-a000-000000000023'')).root_message_id',
        '00000000-0000-7000-a000-000000000021'
    )
) AS old (query, answer);
SELECT is(
    (
        SELECT string_agg(concat_ws(' ', change_type, seq, version), ', ' ORDER BY seq)
        FROM roost.message_changes
        WHERE message_id = '00000000-0000-7000-a000-000000000021'
    ),
    'created 21 1, deleted 24 2, restored 25 3',
    'its history begins at its beginning'
);

-- backfill_messages
SELECT is(
    (SELECT array_agg(roost.backfill_messages(20)) FROM generate_series(1, 5)),
    '{20,19,0,0,0}'::bigint[],
    'messages of before are looked at in batches, once'
);
SELECT results_eq(
    $$
        SELECT message.seq, message.reply_count, message.root_message_id, change.created_at
        FROM roost.messages AS message
        JOIN roost.message_changes AS change
            ON change.message_id = message.id AND change.change_type = 'created'
        WHERE message.conversation_id = '00000000-0000-7000-9000-000000000002' AND message.seq > 20
        ORDER BY message.seq
    $$,
    $$ VALUES
        (21::bigint, 3::bigint, NULL::uuid, now()),
        (22, 0, '00000000-0000-7000-a000-000000000021', now()),
        (23, 0, '00000000-0000-7000-a000-000000000021', now()),
        (26, 0, '00000000-0000-7000-a000-000000000021', now()) $$,
    'each has a beginning, and threads have a root that counts'
);
ALTER TABLE roost.messages DISABLE TRIGGER USER;
INSERT INTO roost.messages (id, conversation_id, seq, user_id, content, parent_message_id)
VALUES
(
    '00000000-0000-7000-a000-000000000031', '00000000-0000-7000-9000-000000000002', 31,
    '00000000-0000-7000-8000-00000000000a', '{"n": 1}', NULL
),
(
    '00000000-0000-7000-a000-000000000032', '00000000-0000-7000-9000-000000000002', 32,
    '00000000-0000-7000-8000-00000000000a', '{"n": 2}', '00000000-0000-7000-a000-000000000031'
),
(
    '00000000-0000-7000-a000-000000000033', '00000000-0000-7000-9000-000000000002', 33,
    '00000000-0000-7000-8000-00000000000a', '{"n": 3}', '00000000-0000-7000-a000-000000000032'
);
ALTER TABLE roost.messages ENABLE TRIGGER USER;
UPDATE roost.message_backfill
SET conversation_id = '00000000-0000-7000-9000-000000000002', seq = 30, finished_at = NULL;
SELECT is(roost.backfill_messages(2), 2::bigint, 'the beginning of a thread');
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000031';
SELECT is(roost.backfill_messages(2), 1::bigint, 'expires, before the rest of it');
SELECT results_eq(
    $$
        SELECT message.seq, message.parent_seq, root.seq, message.root_seq
        FROM roost.messages AS message
        LEFT JOIN roost.messages AS root ON root.id = message.root_message_id
        WHERE message.conversation_id = '00000000-0000-7000-9000-000000000002' AND message.seq > 30
        ORDER BY message.seq
    $$,
    'VALUES (32::bigint, 31::bigint, NULL::bigint, 31::bigint), (33, 32, 32, 32)',
    'which begins with what is left of it'
);
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000033';
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000032';

-- Somebody in psql
SELECT set_config('roost.user_id', '', true);
UPDATE roost.messages SET content = '{"text": "by hand @ada"}'
WHERE id = '00000000-0000-7000-a000-000000000012';
SELECT throws_ok(
    $$
        UPDATE roost.messages SET content = '{}'
        WHERE id = '00000000-0000-7000-a000-000000000012'
    $$,
    '23514',
    NULL,
    'what an operator writes has to fit the type'
);
UPDATE roost.messages SET deleted_at = now(), content = '{"text": "x"}'
WHERE id = '00000000-0000-7000-a000-000000000013';
UPDATE roost.messages SET content = '{"text": "y"}'
WHERE id = '00000000-0000-7000-a000-000000000013';
UPDATE roost.messages SET reply_count = reply_count WHERE seq < 30;
SELECT results_eq(
    $$
        SELECT change.change_type, change.seq, change.before -> 'content' ->> 'text', event.event,
            message.version, message.content ->> 'text', message.mentions
        FROM roost.message_changes AS change
        JOIN roost.messages AS message ON message.id = change.message_id
        JOIN realtime.events AS event
            ON event.topic = 'conversation:' || change.conversation_id
            AND event.event_offset = change.seq
            AND event.about_offset = message.seq
        WHERE change.message_id IN (
            '00000000-0000-7000-a000-000000000012', '00000000-0000-7000-a000-000000000013'
        )
        ORDER BY change.seq
    $$,
    $$ VALUES
        (
            'updated'::roost.message_change_type, 24::bigint, 'reply', 'message.updated', 2::bigint,
            'by hand @ada', '{00000000-0000-7000-8000-00000000000a}'::uuid[]
        ),
        ('deleted', 25, 'reply', 'message.deleted', 2, NULL, '{}') $$,
    'what an operator does is told and kept as well'
);

-- History
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, 'SELECT api.' || listed.call),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.name, listed.call)
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name)
CROSS JOIN (
    VALUES
    ('list_message_changes(''00000000-0000-7000-a000-000000000010'')'),
    ('list_conversation_changes(''00000000-0000-7000-9000-000000000001'')')
) AS listed (call);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000b', 'SELECT api.' || listed.call),
    'RO302',
    NULL,
    'a page of history has rows'
)
FROM (
    VALUES
    ('list_message_changes(''00000000-0000-7000-a000-000000000010'', page_size => 0)'),
    ('list_conversation_changes(''00000000-0000-7000-9000-000000000001'', page_size => 201)')
) AS listed (call);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        format(
            $$
                SELECT string_agg(
                    concat_ws(
                        ' ', change_type, version, right(user_id::text, 1),
                        coalesce(before -> 'content' ->> 'text', '-'),
                        coalesce(after -> 'content' ->> 'text', '-')
                    ),
                    ', ' ORDER BY seq
                )
                FROM api.%s
            $$,
            listed.call
        )
    ),
    listed.answer,
    'a viewer reads ' || listed.call
)
FROM (
    VALUES
    (
        'list_message_changes(''00000000-0000-7000-a000-000000000010'')',
        'created 1 d - hi @ada, updated 2 d hi @ada hi @grace, deleted 3 d hi @grace -,'
        ' restored 4 d - hi @grace, deleted 5 e hi @grace -, restored 6 a - hi @grace'
    ),
    (
        'list_message_changes(''00000000-0000-7000-a000-000000000010'', 18, 2)',
        'restored 4 d - hi @grace, deleted 5 e hi @grace -'
    ),
    (
        'list_message_changes(''00000000-0000-7000-a000-000000000013'')',
        'created 1 a - -, deleted 2 - -'
    ),
    (
        'list_conversation_changes(''00000000-0000-7000-9000-000000000001'', 13, 4)',
        'created 1 a - reply, created 1 a - -, updated 2 d hi @ada hi @grace, updated 2 d - -'
    ),
    ('list_conversation_changes(''00000000-0000-7000-9000-000000000001'', 25)', NULL)
) AS listed (call, answer);
UPDATE roost.conversation_participants SET history_after_seq = 13
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$
            SELECT string_agg(seq::text, ',' ORDER BY seq)
            FROM api.list_conversation_changes('00000000-0000-7000-9000-000000000001')
        $$
    ),
    '14,15,24,25',
    'somebody who sees history from a point on reads what happened to that part'
);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.list_message_changes('00000000-0000-7000-a000-000000000010') $$
    ),
    'RO201',
    NULL,
    'and nothing of what was before'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT string_agg(seq::text, ',') FROM api.list_thread(
            '00000000-0000-7000-a000-000000000012'
        ) $$
    ),
    '14,15',
    'of a thread they read what they see'
);

-- purge_message
INSERT INTO roost.message_reactions (message_id, user_id, reaction)
VALUES (
    '00000000-0000-7000-a000-000000000011', '00000000-0000-7000-8000-00000000000a', 'ship'
);
SELECT realtime.publish(
    'conversation:00000000-0000-7000-9000-000000000001', 'reaction',
    '{"message_id": "00000000-0000-7000-a000-000000000011", "reaction": "ship"}', 13
);
SELECT is(
    as_caller(
        'roost_user', ('00000000-0000-7000-8000-00000000000' || purged.letter)::uuid,
        format(
            $$
                SELECT concat_ws(
                    ' ', version, content, metadata, attachments, reactions, purged_at IS NOT NULL
                )
                FROM api.purge_message('00000000-0000-7000-a000-0000000000%s')
            $$,
            purged.id
        )
    ),
    purged.answer,
    format('%s deletes %s for good, %s', purged.letter, purged.id, purged.time)
)
FROM (
    VALUES
    ('d', '11', '5 {} [] [] t', 'once'),
    ('d', '11', '5 {} [] [] t', 'twice'),
    ('e', '13', '3 {} [] [] t', 'as a tombstone'),
    ('e', '01', '2 {} [] [] t', 'at once')
) AS purged (letter, id, answer, time);
SELECT is_empty(
    $$
        SELECT message_id FROM roost.message_changes
        WHERE before IS NOT NULL
            AND message_id IN (
                '00000000-0000-7000-a000-000000000011', '00000000-0000-7000-a000-000000000013'
            )
        UNION ALL
        SELECT message_id FROM roost.message_attachments
        UNION ALL
        SELECT message_id FROM roost.message_reactions
    $$,
    'nothing of it is left'
);
SELECT is_empty(
    $$
        SELECT event_offset FROM realtime.events
        WHERE 13 IN (event_offset, about_offset)
            AND (payload ->> 'reaction' IS NOT NULL OR payload::text LIKE '%png%')
    $$,
    'in no stored event either'
);
SELECT throws_ok(
    calling('roost_user', '00000000-0000-7000-8000-00000000000d', 'SELECT api.' || verb.call),
    'RO305',
    NULL,
    'a purged message: ' || verb.call
)
FROM (
    VALUES
    ('edit_message(''00000000-0000-7000-a000-000000000011'', ''{}'', 5)'),
    ('restore_message(''00000000-0000-7000-a000-000000000011'')')
) AS verb (call);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$
            SELECT concat_ws(
                ' ',
                (api.delete_message('00000000-0000-7000-a000-000000000011')).version,
                (api.send_message(
                    '00000000-0000-7000-9000-000000000001', '{"text": "any"}',
                    id => '00000000-0000-7000-a000-000000000011'
                )).version
            )
        $$
    ),
    '5 5',
    'deleting it again, or sending it again, answers the tombstone'
);
UPDATE roost.messages SET deleted_at = NULL, purged_at = NULL, content = '{"text": "back"}'
WHERE id = '00000000-0000-7000-a000-000000000011';
SELECT is(
    (
        SELECT concat_ws(' ', content, purged_at IS NOT NULL, version) FROM roost.messages
        WHERE id = '00000000-0000-7000-a000-000000000011'
    ),
    '{} t 5',
    'nor does an operator bring it back'
);

-- The second wall: what a function of api that forgot a check would be let through
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000e', wall.command),
    '42501',
    NULL,
    'refused: ' || wall.command
)
FROM (
    VALUES
    (
        'UPDATE roost.messages SET content = ''{"text": "no"}'''
        ' WHERE id = ''00000000-0000-7000-a000-000000000012'''
    ),
    (
        'UPDATE roost.messages SET metadata = ''{"a": 1}'''
        ' WHERE id = ''00000000-0000-7000-a000-000000000012'''
    ),
    (
        'UPDATE roost.messages SET deleted_at = NULL, purged_at = NULL'
        ' WHERE id = ''00000000-0000-7000-a000-000000000011'''
    ),
    ('UPDATE roost.messages SET version = 9'),
    ('UPDATE roost.messages SET change_seq = 9'),
    ('UPDATE roost.messages SET user_id = ''00000000-0000-7000-8000-00000000000e'''),
    ('SELECT before FROM roost.message_changes'),
    ('DELETE FROM roost.messages'),
    ('INSERT INTO roost.message_changes DEFAULT VALUES')
) AS wall (command);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000e',
        $$ SELECT (api.delete_message('00000000-0000-7000-a000-000000000010')).version $$
    ),
    '7',
    'an admin deletes it again'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000d',
        $$
            UPDATE roost.messages SET deleted_at = NULL, content = '{"text": "other"}'
            WHERE id = '00000000-0000-7000-a000-000000000010'
        $$
    ),
    '42501',
    NULL,
    'its author does not undo what an admin did'
);
SELECT is(
    rows_changed(
        'roost_api', '00000000-0000-7000-8000-00000000000e',
        $$
            UPDATE roost.messages SET deleted_at = NULL, content = '{"text": "other"}'
            WHERE id = '00000000-0000-7000-a000-000000000010'
        $$
    ),
    1::bigint,
    'an admin does'
);
SELECT is(
    (
        SELECT content ->> 'text' FROM roost.messages
        WHERE id = '00000000-0000-7000-a000-000000000010'
    ),
    'hi @grace',
    'and what comes back is what was there'
);
SELECT throws_ok(
    calling(
        'roost_api', '00000000-0000-7000-8000-00000000000d',
        $$
            INSERT INTO roost.messages (conversation_id, seq, user_id, content, message_type)
            VALUES (
                '00000000-0000-7000-9000-000000000001', 99, '00000000-0000-7000-8000-00000000000d',
                '{"text": "no"}', 'system'
            )
        $$
    ),
    '42501',
    NULL,
    'a member writes no message of the system'
);
SELECT is(
    rows_changed(
        'roost_api', changed.id::uuid,
        'UPDATE roost.messages SET deleted_at = now()'
        ' WHERE id = ''00000000-0000-7000-a000-000000000012'''
    ),
    changed.rows,
    changed.name || ' deletes somebody else''s message'
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000b', 0::bigint, 'no viewer'),
    ('00000000-0000-7000-8000-00000000000c', 0, 'no outsider'),
    ('00000000-0000-7000-8000-00000000000d', 0, 'no member'),
    ('00000000-0000-7000-8000-00000000000e', 1, 'an admin')
) AS changed (id, rows, name);

-- Where nobody writes any more, nor who may do so no more: a member who was an admin, and wrote a
-- message of the system then.
INSERT INTO roost.conversations (id, user_id, last_seq, last_number)
VALUES (
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 2, 2
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000e', 'member'
);
INSERT INTO roost.messages (id, conversation_id, seq, number, user_id, message_type, content)
SELECT
    ('00000000-0000-7000-a000-00000000003' || written.seq)::uuid,
    '00000000-0000-7000-9000-000000000003',
    written.seq,
    written.seq,
    '00000000-0000-7000-8000-00000000000e',
    written.type,
    '{"text": "hello"}'
FROM (VALUES (1, 'text'), (2, 'system')) AS written (seq, type);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000e',
        $$
            SELECT api.edit_message(
                '00000000-0000-7000-a000-000000000032', '{"text": "of the system"}', 1
            )
        $$
    ),
    'RO202',
    NULL,
    'who is no admin any more edits no message of the system'
);
CREATE TEMPORARY TABLE wall (place int, changed_rows bigint, command text);
INSERT INTO wall
VALUES
(
    1, 1,
    'UPDATE roost.messages SET content = ''{"text": "hi"}'''
    ' WHERE id = ''00000000-0000-7000-a000-000000000031'''
),
(
    2, NULL,
    'UPDATE roost.messages SET content = ''{"text": "of the system"}'''
    ' WHERE id = ''00000000-0000-7000-a000-000000000032'''
),
(
    3, 1,
    'UPDATE roost.conversations SET last_seq = 4, last_number = 3'
    ' WHERE id = ''00000000-0000-7000-9000-000000000003'''
),
(
    20, NULL,
    'INSERT INTO roost.message_attachments (message_id, conversation_id, seq, place, name,'
    ' media_type, size, url) VALUES (''00000000-0000-7000-a000-000000000031'','
    ' ''00000000-0000-7000-9000-000000000003'', 1, 1, ''a'', ''a/b'', 1, ''https://a.example'')'
);
INSERT INTO wall
SELECT
    3 + forged.place,
    forged.changed_rows,
    format(
        'INSERT INTO roost.messages (conversation_id, user_id, content, seq, number%s)'
        ' VALUES (''00000000-0000-7000-9000-000000000003'','
        ' ''00000000-0000-7000-8000-00000000000e'', ''{"text": "x"}'', %s)',
        forged.columns, forged.content
    )
FROM (
    VALUES
    (1, NULL::bigint, '', '5, 3'),
    (2, NULL, '', '4, 4'),
    (3, NULL, ', version', '4, 3, 9'),
    (4, NULL, ', reply_count', '4, 3, 7'),
    (5, NULL, ', reactions', '4, 3, ''[{"reaction": "x", "count": 9}]'''),
    (6, NULL, ', mentions', '4, 3, ''{00000000-0000-7000-8000-00000000000a}'''),
    (7, NULL, ', created_at', '4, 3, ''2000-01-01'''),
    (8, NULL, ', change_seq', '4, 3, 99'),
    (9, NULL, ', root_message_id', '4, 3, ''00000000-0000-7000-a000-000000000031'''),
    (10, NULL, ', edited_at', '4, 3, now()'),
    (11, NULL, ', deleted_at', '4, 3, now()'),
    (12, 1, ', change_seq', '4, 3, 4')
) AS forged (place, changed_rows, columns, content);
SELECT CASE
    WHEN wall.changed_rows IS NULL THEN throws_ok(
        calling('roost_api', '00000000-0000-7000-8000-00000000000e', wall.command),
        '42501', NULL, 'refused: ' || wall.command
    )
    ELSE is(
        rows_changed('roost_api', '00000000-0000-7000-8000-00000000000e', wall.command),
        wall.changed_rows,
        'done: ' || wall.command
    )
END
FROM (SELECT * FROM wall ORDER BY place) AS wall;
UPDATE roost.conversations SET archived_at = now(), last_seq = 9, last_number = 9
WHERE id = '00000000-0000-7000-9000-000000000003';
SELECT throws_ok(
    calling('roost_api', '00000000-0000-7000-8000-00000000000e', archived.command),
    '42501',
    NULL,
    'refused in an archive: ' || archived.command
)
FROM (
    SELECT wall.command FROM wall WHERE wall.place IN (1, 20)
    UNION ALL
    SELECT replace(wall.command, '4, 3, 4)', '9, 9, 9)') FROM wall WHERE wall.place = 15
) AS archived (command);

-- Rows that go
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000013';
SELECT is(
    (SELECT reply_count FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000010'),
    1::bigint,
    'a reply that goes is counted no more'
);
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000010';
SELECT results_eq(
    $$
        SELECT parent_message_id, root_message_id FROM roost.messages
        WHERE id = '00000000-0000-7000-a000-000000000012'
    $$,
    'VALUES (NULL::uuid, NULL::uuid)',
    'a thread whose beginning goes has none'
);
SELECT results_eq(
    'SELECT DISTINCT message_id FROM roost.message_changes ORDER BY message_id',
    'SELECT id FROM roost.messages ORDER BY id',
    'a message takes its history with it, and no other'
);
SELECT throws_ok(
    $$
        UPDATE roost.messages SET id = gen_random_uuid()
        WHERE id = '00000000-0000-7000-a000-000000000012'
    $$,
    '23503',
    NULL,
    'what is left keeps its id, and so its history'
);
DELETE FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000001';
SELECT is_empty(
    $$
        SELECT seq FROM roost.message_changes
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001'
    $$,
    'a conversation takes the history of its messages with it'
);
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
VALUES (
    '00000000-0000-7000-9000-000000000002', 100, '00000000-0000-7000-8000-00000000000a',
    '{"text": "x"}'
);
SELECT isnt_empty('SELECT seq FROM roost.message_changes', 'an operator''s message has one');
TRUNCATE roost.messages CASCADE;
SELECT is_empty('SELECT seq FROM roost.message_changes', 'without messages there is none');

SELECT * FROM finish();

ROLLBACK;

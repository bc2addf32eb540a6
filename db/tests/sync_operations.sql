-- Operations of devices: exactly once, one by one, recorded, listed, forgotten; each kind of
-- caller, each refusal. Who waits for whom is for tests/test_sync_operations.py.
BEGIN;

SELECT plan(99);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(
    session.user_id::uuid, session.device_id::uuid,
    replace(session.device_id, '8000', 'b000')::uuid
)
FROM (
    VALUES
        -- Ada's phone and laptop, and a device of grace's
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d1'),
        ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d2'),
        ('00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-0000000000e1')
) AS session (user_id, device_id);
INSERT INTO roost.conversations (id, user_id, title)
VALUES ('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'Plans');
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'),
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'member');
SELECT set_config('roost.gateway', 'on', true);

-- A statement that calls as a person on a device: ada's where it is d1 or d2.
CREATE FUNCTION pg_temp.on_device(p_device text, p_query text)
RETURNS text
LANGUAGE sql
RETURN format(
    'SELECT set_config(''roost.device_id'', %L, true) IS NULL, as_caller(''roost_user'', %L, %L)',
    coalesce('00000000-0000-7000-8000-0000000000' || p_device, ''),
    '00000000-0000-7000-8000-00000000000' || CASE p_device WHEN 'e1' THEN 'b' ELSE 'a' END,
    p_query
);
CREATE FUNCTION pg_temp.ask(p_device text, p_query text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_answer text;
    v_set boolean;
BEGIN
    EXECUTE pg_temp.on_device(p_device, p_query) INTO v_set, v_answer;
    RETURN v_answer;
END;
$$;
-- What a device is answered, as "id outcome code" of each operation.
CREATE FUNCTION pg_temp.push(p_device text, p_operations text)
RETURNS text
LANGUAGE sql
RETURN pg_temp.ask(
    p_device,
    format(
        'SELECT string_agg(concat_ws('' '', pushed.id, pushed.outcome, pushed.first_outcome,'
        ' pushed.code), '', '') FROM api.push_operations(%L) AS pushed',
        replace(
            replace(p_operations, '$c', '00000000-0000-7000-9000-00000000000'),
            '$m', '00000000-0000-7000-a000-00000000000'
        )
    )
);
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(known ORDER BY device_id) FROM roost.sync_devices AS known),
        (
            SELECT json_agg(operation ORDER BY device_id, operation_id)
            FROM roost.sync_operations AS operation
        ),
        (SELECT json_agg(conflict ORDER BY id) FROM roost.sync_conflicts AS conflict),
        (SELECT json_agg(message ORDER BY id) FROM roost.messages AS message),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event)
    );
$$;
CREATE TEMPORARY TABLE known (name text PRIMARY KEY, value text);
INSERT INTO known SELECT 'state', pg_temp.state();

-- Who may call
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || called.call),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM (
    VALUES ('api.push_operations(''[]'')'), ('api.list_sync_operations()')
) AS called (call)
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || called.call),
    '42501',
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM (
    VALUES
        ('roost.expire_sync_operations(1)', 'roost_gateway'),
        ('roost.take_operation(''{}'')', 'roost_api'),
        ('roost.repeat_operation(''{}'')', 'roost_api'),
        ('roost.apply_operation(''x'', ''{}'')', 'roost_api'),
        ('roost.read_message_version(NULL, 1)', 'roost_api'),
        ('roost.forget_operations_on(''{}'')', 'roost_owner')
) AS called (call, allowed)
JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway'), ('roost_api')
) AS caller (role) ON caller.role <> called.allowed;

-- What is no list of operations, or not of a device
SELECT throws_ok(
    pg_temp.on_device(bad.device, format('SELECT api.push_operations(%s)', bad.operations)),
    'RO302',
    NULL,
    format('refused: %s on %s', left(bad.operations, 60), coalesce(bad.device, 'no device'))
)
FROM (
    VALUES
        (NULL, '''[]'''),
        ('ff', '''[]'''),
        ('d1', 'NULL'),
        ('d1', '''{}'''),
        ('d1', '''"x"'''),
        ('d1', '''[1]'''),
        ('d1', '''[{}]'''),
        ('d1', '''[{"id": null}]'''),
        ('d1', '''[{"id": "1"}]'''),
        ('d1', '''[{"id": 0}]'''),
        ('d1', '''[{"id": -1}]'''),
        ('d1', '''[{"id": 1.5}]'''),
        ('d1', '''[{"id": 1}, {"id": 1e30}]'''),
        (
            'd1',
            '(SELECT jsonb_agg(jsonb_build_object(''id'', id)) FROM generate_series(1, 1001) AS id)'
        )
) AS bad (device, operations);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- Exactly once
SELECT is(pg_temp.push(pushed.device, pushed.operations), pushed.answer, pushed.what)
FROM (
    VALUES
        (1, 'd1', '[]', NULL, 'nothing is pushed'),
        (
            2, 'd1',
            '[
                {"id": 2, "kind": "add_reaction", "args": {"message_id": "$m1", "reaction": "ok"}},
                {"id": 1, "kind": "send_message", "args": {
                    "conversation_id": "$c1", "id": "$m1", "content": {"text": "hello"}
                }}
            ]',
            '1 applied, 2 applied', 'applied in the order of ids'
        ),
        (
            3, 'd1',
            '[
                {"id": 1, "args": {
                    "id": "$m1", "content": {"text": "hello"}, "conversation_id": "$c1"
                }, "kind": "send_message"},
                {"id": 3, "kind": "mark_read", "args": {"conversation_id": "$c1", "up_to_seq": 1}}
            ]',
            '1 duplicate applied, 3 applied', 'what is sent again is not applied again'
        ),
        (
            4, 'd1', '[{"id": 1, "kind": "send_message", "args": {}}]', '1 rejected RO301',
            'nor another one under its id'
        ),
        (
            5, 'd1',
            '[
                {"id": 3, "kind": "mark_read", "args": {"conversation_id": "$c1", "up_to_seq": 1}},
                {"id": 5, "kind": "update_me", "args": {"display_name": "Ada"}},
                {"id": 6, "kind": "update_me", "args": {"display_name": "Ada"}}
            ]',
            '3 duplicate applied, 5 rejected RO307, 6 rejected RO307', 'a gap is refused'
        ),
        (
            6, 'd2', '[{"id": 1, "kind": "update_me", "args": {"display_name": "Ada"}}]',
            '1 applied', 'another device counts for itself'
        ),
        (
            7, 'e1',
            '[
                {"id": 1, "kind": "update_me", "args": {"display_name": "Grace"}},
                {"id": 2, "kind": "archive_conversation", "args": {"conversation_id": "$c1"}}
            ]',
            '1 applied, 2 rejected RO202', 'and another person, with their own rights'
        )
) AS pushed (place, device, operations, answer, what)
ORDER BY pushed.place;
SELECT results_eq(
    $$
        SELECT right(device_id::text, 2), last_operation_id FROM roost.sync_devices ORDER BY 1
    $$,
    $$ VALUES ('d1', 3::bigint), ('d2', 1), ('e1', 2) $$,
    'the last id of each device is known'
);
SELECT results_eq(
    $$
        SELECT event FROM realtime.events
        WHERE topic LIKE 'conversation:%' ORDER BY event_offset
    $$,
    $$ VALUES ('message.created'), ('reaction') $$,
    'others have heard of each once'
);
SELECT set_config('roost.touched', '', true);
SELECT is(
    pg_temp.push('d1', '[{"id": 1, "kind": "send_message", "args": {"conversation_id": "$c1",'
        ' "id": "$m1", "content": {"text": "hello"}}}]'),
    '1 duplicate applied', 'once more'
);
SELECT is(
    current_setting('roost.touched', true), 'conversation:00000000-0000-7000-9000-000000000001',
    'the conversation is told again, lest nobody has told it'
);

-- Each by itself
SELECT is(
    pg_temp.push(
        'd1',
        format(
            '[
                {"id": 4, "kind": "update_me", "args": {"display_name": "A"}, "queued_at": "now"},
                %s
            ]',
            (
                SELECT string_agg(
                    format('{"id": %s, %s}', 4 + bad.place, bad.operation), ', '
                    ORDER BY bad.place
                )
                FROM unnest(ARRAY[
                    '"kind": "x", "args": {}',
                    '"args": {}',
                    '"kind": "update_me"',
                    '"kind": "update_me", "args": []',
                    '"kind": "update_me", "args": {"x": 1}',
                    '"kind": "update_me", "args": {}, "x": 1',
                    '"kind": "update_me", "args": {}, "base_version": 0',
                    '"kind": "update_me", "args": {}, "base": 1',
                    '"kind": "update_me", "args": {}, "policy": "x"',
                    '"kind": "update_me", "args": {}, "depends_on": ["1"]',
                    '"kind": "update_me", "args": {}, "depends_on": 1',
                    '"kind": "update_me", "args": {}, "depends_on": [99]',
                    format(
                        '"kind": "update_me", "args": {"display_name": "%s"}',
                        repeat('x', 524288)
                    ),
                    '"kind": "update_me", "args": {'
                    '"display_name": [1e131071, 1e131071, 1e131071, 1e131071]}'
                ]) WITH ORDINALITY AS bad (operation, place)
            )
        )
    ),
    '4 applied, ' || (
        SELECT string_agg(format('%s rejected RO302', id), ', ' ORDER BY id)
        FROM generate_series(5, 18) AS id
    ),
    'what is no operation is rejected, and what is behind it is looked at'
);
SELECT is_empty(
    'SELECT FROM roost.sync_operations WHERE outcome <> ''applied'' AND hint IS NULL',
    'each with what to do about it'
);
SELECT is(
    pg_temp.push(
        'd1',
        '[
            {"id": 18, "kind": "update_me", "args": {
                "display_name": [1e131071, 1e131071, 1e131071, 1e131071]
            }},
            {"id": 18, "kind": "update_me", "args": {
                "display_name": [1e131071, 1e131071, 1e131071, 2e131071]
            }}
        ]'
    ),
    '18 duplicate rejected RO302, 18 rejected RO301', 'what is too large is known again, too'
);
SELECT is(
    pg_temp.push(
        'd1',
        '[
            {"id": 19, "kind": "update_me", "args": {"display_name": "", "preferences": []}},
            {"id": 20, "kind": "mark_read", "args": {"conversation_id": "x"}},
            {"id": 21, "kind": "mark_read", "args": {"conversation_id": "$c1"}},
            {"id": 22, "kind": "delete_message", "args": {"message_id": "$m9"}},
            {"id": 23, "kind": "send_message", "args": {"conversation_id": "$c1"}},
            {"id": 24, "kind": "leave_conversation", "args": {"conversation_id": "$c1"}}
        ]'
    ),
    '19 rejected 23514, 20 rejected 22P02, 21 rejected RO302, 22 rejected RO201,'
    ' 23 rejected 23502, 24 rejected RO204',
    'what the function refuses is rejected with its code'
);
SELECT is(
    (SELECT hint FROM roost.sync_operations WHERE operation_id = 19),
    'Send a JSON object, such as {"key": "value"}.',
    'the hint is that of a call'
);
SELECT is(
    pg_temp.push(
        'd1',
        '[
            {"id": 25, "kind": "create_conversation", "args": {"id": "$c2", "title": null}},
            {"id": 26, "kind": "update_conversation", "args": {
                "conversation_id": "$c2", "metadata": {"a": 1}
            }},
            {"id": 27, "kind": "add_participant", "args": {
                "conversation_id": "$c2", "user_id": "00000000-0000-7000-8000-00000000000b"
            }},
            {"id": 28, "kind": "remove_participant", "args": {
                "conversation_id": "$c2", "user_id": "00000000-0000-7000-8000-00000000000b"
            }},
            {"id": 29, "kind": "archive_conversation", "args": {"conversation_id": "$c2"}},
            {"id": 30, "kind": "unarchive_conversation", "args": {"conversation_id": "$c2"}},
            {"id": 31, "kind": "edit_message", "args": {
                "message_id": "$m1", "content": {"text": "hi"}, "metadata": null
            }},
            {"id": 32, "kind": "delete_message", "args": {"message_id": "$m1"}},
            {"id": 33, "kind": "restore_message", "args": {"message_id": "$m1"}},
            {"id": 34, "kind": "remove_reaction", "args": {
                "message_id": "$m1", "reaction": "ok"
            }},
            {"id": 35, "kind": "create_conversation", "args": {"id": "$c2"}}
        ]'
    ),
    (SELECT string_agg(format('%s applied', id), ', ') FROM generate_series(25, 35) AS id),
    'every kind is applied'
);
SELECT is(
    pg_temp.push(
        'e1', '[{"id": 3, "kind": "leave_conversation", "args": {"conversation_id": "$c1"}}]'
    ),
    '3 applied', 'and leaving'
);
SELECT throws_ok(
    'SELECT roost.apply_operation(''x'', ''{}'')', '20000', NULL, 'another one is none'
);
SELECT throws_ok(
    pg_temp.on_device(
        'e1', 'SELECT api.create_conversation(id => ''00000000-0000-7000-9000-000000000002'')'
    ),
    'RO301', NULL, 'the id of a conversation is one person''s'
);

-- What depends on what failed
SELECT is(
    pg_temp.push(
        'd1',
        format(
            '[
                {"id": 36, "kind": "create_conversation", "args": {"id": "$c3", "title": "%s"}},
                {"id": 37, "kind": "send_message", "args": {
                    "conversation_id": "$c3", "id": "$m3", "content": {"text": "x"}
                }},
                {"id": 38, "kind": "add_reaction", "args": {"message_id": "$m3", "reaction": "x"}},
                {"id": 39, "kind": "send_message", "args": {
                    "conversation_id": "$c1", "parent_message_id": "$m3", "content": {"text": "x"}
                }},
                {"id": 40, "kind": "update_me", "args": {}, "depends_on": [1, 35]},
                {"id": 41, "kind": "update_me", "args": {}, "depends_on": [1, 36]},
                {"id": 42, "kind": "update_me", "args": {}, "depends_on": [41]},
                {"id": 43, "kind": "create_conversation", "args": {"id": "$c3"}},
                {"id": 44, "kind": "mark_read", "args": {"conversation_id": "$c3", "up_to_seq": 0}}
            ]',
            repeat('x', 201)
        )
    ),
    '36 rejected 23514, 37 deferred RO306, 38 deferred RO306, 39 deferred RO306, 40 applied,'
    ' 41 deferred RO306, 42 deferred RO306, 43 applied, 44 applied',
    'is deferred'
);

-- What the next try may not meet rolls back the whole list
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
CREATE FUNCTION roost.fail_now()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], MESSAGE = 'not now';
END;
$$;
GRANT EXECUTE ON FUNCTION roost.fail_now() TO roost_api;
CREATE FUNCTION pg_temp.fail_with(p_sqlstate text, p_kind text DEFAULT 'update_me')
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER zz_fail AFTER INSERT ON roost.message_reactions'
        ' FOR EACH ROW EXECUTE FUNCTION roost.fail_now(%L)',
        p_sqlstate
    );
    RETURN pg_temp.push(
        'd1',
        format(
            '[
                {"id": 45, "kind": "%s", "args": {"display_name": "X"}},
                {"id": 46, "kind": "add_reaction", "args": {"message_id": "$m1", "reaction": "x"}}
            ]',
            p_kind
        )
    );
END;
$$;
SELECT throws_ok(
    format('SELECT pg_temp.fail_with(%L)', failure.sqlstate), failure.sqlstate, NULL,
    failure.sqlstate || ' is not recorded'
)
FROM (VALUES ('40001'), ('40P01'), ('55P03'), ('53100'), ('25006')) AS failure (sqlstate);
SELECT throws_ok(
    $$ SELECT pg_temp.fail_with('25006', 'dance') $$,
    '25006', NULL, 'nor behind one that fails by itself'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');
SELECT is(
    pg_temp.fail_with('XX000'), '45 applied, 46 rejected XX000', 'what is always so is recorded'
);
DROP TRIGGER zz_fail ON roost.message_reactions;

-- list_sync_operations
SELECT is(
    pg_temp.ask(
        listed.device,
        format(
            'SELECT string_agg(id::text, '' '') FROM api.list_sync_operations(%s)',
            listed.arguments
        )
    ),
    listed.answer,
    format('list_sync_operations(%s) on %s', listed.arguments, listed.device)
)
FROM (
    VALUES
        ('d2', '', '1'),
        ('d2', 'page_size => 2, device_id => ''00000000-0000-7000-8000-0000000000d1''', '46 45'),
        ('d1', 'page_size => 3', '46 45 44'),
        ('d1', 'page_size => 3, before_id => 3', '2 1'),
        ('d1', 'outcome => ''rejected'', before_id => 7', '6 5'),
        ('d1', 'outcome => ''deferred''', '42 41 39 38 37'),
        ('d1', 'kind => ''send_message''', '39 37 23 1'),
        ('e1', '', '3 2 1'),
        ('e1', 'device_id => ''00000000-0000-7000-8000-0000000000d1''', NULL)
) AS listed (device, arguments, answer);
SELECT throws_ok(
    pg_temp.on_device('d1', 'SELECT api.list_sync_operations(page_size => 0)'),
    'RO302', NULL, 'there are no empty pages'
);
SELECT is(
    pg_temp.ask(
        'd1',
        'SELECT concat_ws('' '', result, args, queued_at IS NULL) FROM'
        ' api.list_sync_operations(before_id => 2)'
    ),
    '{"id": "00000000-0000-7000-a000-000000000001", "seq": 1, "user_id":'
    ' "00000000-0000-7000-8000-00000000000a", "version": 1, "change_seq": 1, "conversation_id":'
    ' "00000000-0000-7000-9000-000000000001"} t',
    'of what was applied only ids and numbers are kept'
);

-- A message that is deleted for good is in no operation any more, nor is one that expires.
SELECT is(
    pg_temp.push(
        'd1',
        '[
            {"id": 47, "kind": "edit_message", "args": {
                "message_id": "$m1", "content": {"text": ""}
            }},
            {"id": 48, "kind": "update_conversation", "args": {
                "conversation_id": "$c2", "search_language": "x"
            }}
        ]'
    ),
    '47 rejected 23514, 48 rejected 23514', 'two that fail'
);
SELECT is(
    (
        SELECT count(*) FROM roost.sync_operations
        WHERE operation_id IN (47, 48) AND args IS NOT NULL
    ),
    2::bigint, 'with what they were to write'
);
SELECT pg_temp.ask('d1', 'SELECT api.purge_message(''00000000-0000-7000-a000-000000000001'')');
SELECT is(
    (SELECT args FROM roost.sync_operations WHERE operation_id = 47), NULL, 'it goes with a message'
);
DELETE FROM roost.conversations WHERE id = '00000000-0000-7000-9000-000000000002';
SELECT is(
    (SELECT args FROM roost.sync_operations WHERE operation_id = 48), NULL,
    'and with a conversation'
);

-- expire_sync_operations
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_sync_operations(10)'), '0',
    'nothing is old'
);
UPDATE roost.sync_operations SET applied_at = now() - interval '31 days'
WHERE operation_id BETWEEN 1 AND 5;
SELECT is(
    as_caller(
        'roost_gateway', NULL, format('SELECT roost.expire_sync_operations(%s)', expired.number)
    ),
    expired.answer,
    'some of it'
)
FROM (VALUES (1, 5, '5'), (2, 5, '0')) AS expired (place, number, answer)
ORDER BY expired.place;
SELECT is(
    (SELECT count(*) FROM roost.sync_operations WHERE operation_id <= 5), 0::bigint, 'is forgotten'
);
SELECT is(
    pg_temp.push('d1', '[{"id": 1, "kind": "send_message", "args": {}}]'), '1 duplicate',
    'and is not applied again for that'
);

-- A device that counts is no unused one.
DELETE FROM roost.sessions WHERE device_id = '00000000-0000-7000-8000-0000000000d2';
SELECT as_caller(
    'roost_api', '00000000-0000-7000-8000-00000000000a',
    'SELECT roost.remove_unused_device(''00000000-0000-7000-8000-0000000000d2'')'
);
SELECT is(
    (SELECT count(*) FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000d2'),
    1::bigint, 'it stays'
);
DELETE FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000d2';
SELECT is_empty(
    'SELECT FROM roost.sync_devices WHERE right(device_id::text, 2) = ''d2''',
    'and takes along how far it has counted'
);

SELECT * FROM finish();

ROLLBACK;

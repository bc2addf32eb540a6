-- Conflicts: each policy of each kind, merges in three ways, listing and deciding; each kind of
-- caller, each refusal. Merges at random are in tests/test_sync_merges.py.
BEGIN;

SELECT plan(142);

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
            '$m', '00000000-0000-7000-a000-00000000'
        )
    )
);
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(conflict ORDER BY id) FROM roost.sync_conflicts AS conflict),
        (SELECT json_agg(message ORDER BY id) FROM roost.messages AS message),
        (SELECT json_agg(account ORDER BY id) FROM roost.users AS account),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event)
    );
$$;
CREATE TEMPORARY TABLE known (name text PRIMARY KEY, value text);

-- Who may call
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || called.call),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM (
    VALUES
        ('api.list_conflicts()'),
        ('api.get_conflict(NULL)'),
        ('api.resolve_conflict(NULL, ''mine'')')
) AS called (call)
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT ok(
    realtime.is_reserved_event('user:1', event), event || ' is sent by the server alone'
)
FROM unnest(ARRAY['conflict.opened', 'conflict.resolved']) AS event;

-- merge_text
SELECT results_eq(
    format('SELECT merged, hunks FROM roost.merge_text(%L, %L, %L)', base, mine, theirs),
    format('SELECT %L::text, %L::jsonb', merged, hunks),
    what
)
FROM (
    VALUES
        ('a', 'b', 'a', 'b', '[]', 'changed by me'),
        ('a', 'a', 'b', 'b', '[]', 'changed by them'),
        ('a', 'b', 'b', 'b', '[]', 'changed by both to the same'),
        (E'a\nb\nc', E'A\nb\nc', E'a\nb\nC', E'A\nb\nC', '[]', 'different lines'),
        (E'a\nb\nc', E'b\nc', E'a\nb\nc\nd\n', E'b\nc\nd\n', '[]', 'removed and added'),
        (E'a\nb\nc', E'x\nb\nC', E'x\nb\nc', E'x\nb\nC', '[]', 'in part the same'),
        (
            'a', 'b', 'c', NULL,
            '[{"line": 1, "base": ["a"], "mine": ["b"], "theirs": ["c"]}]', 'the same line'
        ),
        (
            E'a\nb', E'A\nb', E'a\nB', NULL,
            '[{"line": 1, "base": ["a", "b"], "mine": ["A", "b"], "theirs": ["a", "B"]}]',
            'lines next to each other'
        ),
        (
            E'1\n2\n3\n4\n5', E'1\n2a\n3\n4\n', E'1\n2b\n3\n5', NULL,
            '[
                {"line": 2, "base": ["2"], "mine": ["2a"], "theirs": ["2b"]},
                {"line": 4, "base": ["4", "5"], "mine": ["4", ""], "theirs": ["5"]}
            ]',
            'in several places'
        )
) AS merged (base, mine, theirs, merged, hunks, what);
SELECT is(
    roost.match_lines(ARRAY['same'] || old.lines, ARRAY['same'] || new.lines),
    array_fill(1, ARRAY[1]) || array_fill(0, ARRAY[500]),
    'what has little in common counts as replaced'
)
FROM (SELECT array_agg('o' || n) FROM generate_series(1, 500) AS n) AS old (lines)
CROSS JOIN (SELECT array_agg('n' || n) FROM generate_series(1, 500) AS n) AS new (lines);

-- merge_json
SELECT results_eq(
    format('SELECT merged, hunks FROM roost.merge_json(%L, %L, %L)', base, mine, theirs),
    format('SELECT %L::jsonb, %L::jsonb', merged, hunks),
    what
)
FROM (
    VALUES
        ('1', '2', '1', '2', '[]', 'changed by me'),
        ('1', NULL, '2', '2', '[]', 'removed by me, changed by them'),
        ('1', '2', NULL, '2', '[]', 'changed by me, removed by them'),
        ('1', NULL, '1', NULL, '[]', 'removed by me'),
        (
            '1', '2', '3', '3',
            '[{"path": [], "base": 1, "mine": 2, "theirs": 3, "lines": null}]', 'by both'
        ),
        (
            '{"a": {"b": 1, "c": 1}}', '{"a": {"b": 2}}', '{"a": {"b": 3, "c": 1}, "d": 1}',
            '{"a": {"b": 3}, "d": 1}',
            '[{"path": ["a", "b"], "base": 1, "mine": 2, "theirs": 3, "lines": null}]',
            'key by key'
        ),
        (NULL, '{"a": 1}', '{"b": 1}', '{"a": 1, "b": 1}', '[]', 'made by both'),
        ('[1, 2, 3]', '[4, 2, 3]', '[3, 1, 5]', '[3, 4, 5]', '[]', 'sets'),
        (NULL, '[1]', '[2]', '[1, 2]', '[]', 'sets made by both'),
        ('[1]', '[]', '[1]', '[]', '[]', 'an empty set'),
        (
            '[1]', '[1, 1]', '[2]', '[2]',
            '[{"path": [], "base": [1], "mine": [1, 1], "theirs": [2], "lines": null}]', 'no sets'
        ),
        ('"a\n\nb"', '"A\n\nb"', '"a\n\nB"', '"A\n\nB"', '[]', 'text'),
        (
            '"a"', '"b"', '"c"', '"c"',
            '[{
                "path": [], "base": "a", "mine": "b", "theirs": "c",
                "lines": [{"line": 1, "base": ["a"], "mine": ["b"], "theirs": ["c"]}]
            }]',
            'text that collides'
        )
) AS merged (base, mine, theirs, merged, hunks, what);

-- A message that ada wrote and has edited since on her laptop, for each case one.
CREATE FUNCTION pg_temp.message(p_id text, p_change text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_id text := '00000000-0000-7000-a000-00000000' || p_id;
BEGIN
    PERFORM pg_temp.ask('d1', format(
        'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'','
        ' ''{"text": "1\n\n2"}'', id => %L)',
        v_id
    ));
    PERFORM pg_temp.ask('d2', format(
        CASE p_change
            WHEN 'edit'
                THEN 'SELECT api.edit_message(%L, ''{"text": "1\n\n2!"}'', 1, ''{"a": 1}'')'
            WHEN 'delete' THEN 'SELECT api.delete_message(%L)'
            WHEN 'purge' THEN 'SELECT api.purge_message(%L)'
            ELSE 'SELECT 1'
        END,
        v_id
    ));
    RETURN v_id;
END;
$$;
CREATE FUNCTION pg_temp.text_of(p_id text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        coalesce(message.content ->> 'text', 'gone'), nullif(message.metadata::text, '{}')
    )
    FROM roost.messages AS message
    WHERE message.id = ('00000000-0000-7000-a000-00000000' || p_id)::uuid;
$$;
CREATE SEQUENCE pg_temp.next;
CREATE TEMPORARY TABLE settled AS
SELECT
    case_of.*,
    pg_temp.message(case_of.id, case_of.change) AS message_id,
    pg_temp.push(
        'd1',
        format(
            '[%s]',
            jsonb_build_object(
                'id', nextval('pg_temp.next'),
                'kind', case_of.kind,
                'args', jsonb_build_object(
                    'message_id', '00000000-0000-7000-a000-00000000' || case_of.id
                ) || case_of.args::jsonb
            ) || case_of.more::jsonb
        )
    ) AS answer,
    pg_temp.text_of(case_of.id) AS text
FROM (
    VALUES
        (
            1, '0001', 'none', 'edit_message', '{"content": {"text": "x"}}',
            '{"base_version": 1}', 'applied', 'x'
        ),
        (
            2, '0002', 'edit', 'edit_message', '{"content": {"text": "x"}}', '{}', 'applied',
            'x{"a": 1}'
        ),
        (
            3, '0003', 'edit', 'edit_message', '{"content": {"text": "1!\n\n2"}}',
            '{"base_version": 1}', 'applied', E'1!\n\n2!{"a": 1}'
        ),
        (
            4, '0004', 'edit', 'edit_message',
            '{"content": {"text": "1!\n\n2"}, "metadata": {"b": 1}}',
            '{"base_version": 1}', 'applied', E'1!\n\n2!{"a": 1, "b": 1}'
        ),
        (
            5, '0005', 'edit', 'edit_message', '{"content": {"text": "1\n\n3"}}',
            '{"base_version": 1}', 'conflict RO303', E'1\n\n2!{"a": 1}'
        ),
        (
            6, '0006', 'edit', 'edit_message', '{"content": {"text": "1\n\n3"}}',
            '{"base_version": 1, "policy": "last_write_wins"}', 'applied', E'1\n\n3{"a": 1}'
        ),
        (
            7, '0007', 'edit', 'edit_message', '{"content": {"text": "1\n\n3"}}',
            '{"base_version": 1, "policy": "client_wins"}', 'applied', E'1\n\n3{"a": 1}'
        ),
        (
            8, '0008', 'edit', 'edit_message', '{"content": {"text": "1\n\n3"}}',
            '{"base_version": 1, "policy": "server_wins"}', 'rejected RO303', E'1\n\n2!{"a": 1}'
        ),
        (
            9, '0009', 'edit', 'edit_message', '{"content": {"text": "1!\n\n2"}}',
            '{"base_version": 1, "policy": "manual"}', 'conflict RO303', E'1\n\n2!{"a": 1}'
        ),
        (
            10, '0010', 'edit', 'edit_message', '{"content": {"text": "x"}}',
            '{"base_version": 9}', 'conflict RO303', E'1\n\n2!{"a": 1}'
        ),
        (
            11, '0011', 'edit', 'edit_message', '{"content": {"text": "1!\n\n2"}}',
            '{"base": {"content": {"text": "1\n\n2"}}}', 'applied', E'1!\n\n2!{"a": 1}'
        ),
        (
            12, '0012', 'delete', 'edit_message', '{"content": {"text": "x"}}',
            '{"base_version": 1}', 'applied', 'x'
        ),
        (
            13, '0013', 'delete', 'edit_message', '{"content": {"text": "x"}}',
            '{"base_version": 1, "policy": "client_wins"}', 'applied', 'x'
        ),
        (
            14, '0014', 'delete', 'edit_message', '{"content": {"text": "x"}}',
            '{"base_version": 1, "policy": "server_wins"}', 'rejected RO303', 'gone'
        ),
        (
            15, '0015', 'delete', 'edit_message', '{"content": {"text": "x"}}', '{}',
            'rejected RO304', 'gone'
        ),
        (
            16, '0016', 'purge', 'edit_message', '{"content": {"text": "x"}}',
            '{"base_version": 1}', 'rejected RO305', 'gone'
        ),
        (17, '0017', 'none', 'delete_message', '{}', '{"base_version": 1}', 'applied', 'gone'),
        (18, '0018', 'edit', 'delete_message', '{}', '{}', 'applied', 'gone'),
        (
            19, '0019', 'edit', 'delete_message', '{}', '{"base_version": 1}', 'rejected RO303',
            E'1\n\n2!{"a": 1}'
        ),
        (
            20, '0020', 'edit', 'delete_message', '{}', '{"base_version": 1, "policy": "merge"}',
            'rejected RO303', E'1\n\n2!{"a": 1}'
        ),
        (
            21, '0021', 'edit', 'delete_message', '{}',
            '{"base_version": 1, "policy": "last_write_wins"}', 'applied', 'gone'
        ),
        (
            22, '0022', 'edit', 'delete_message', '{}',
            '{"base_version": 1, "policy": "client_wins"}', 'applied', 'gone'
        ),
        (
            23, '0023', 'edit', 'delete_message', '{}', '{"base_version": 1, "policy": "manual"}',
            'conflict RO303', E'1\n\n2!{"a": 1}'
        ),
        (
            24, '0024', 'delete', 'delete_message', '{}',
            '{"base_version": 1, "policy": "manual"}', 'applied', 'gone'
        )
) AS case_of (place, id, change, kind, args, more, outcome, expected);
SELECT is(
    settled.answer, settled.place || ' ' || settled.outcome,
    format('%s meets %s, %s: outcome', settled.kind, settled.change, settled.more)
)
FROM settled ORDER BY settled.place;
SELECT is(
    pg_temp.text_of(settled.id),
    settled.expected,
    format('%s meets %s, %s: what is there', settled.kind, settled.change, settled.more)
)
FROM settled ORDER BY settled.place;
SELECT results_eq(
    $$
        SELECT operation_id, state, strategy, base -> 'content' ->> 'text', mine IS NULL,
            theirs -> 'content' ->> 'text'
        FROM roost.sync_conflicts ORDER BY operation_id
    $$,
    $$
        SELECT operation_id, state::roost.conflict_state, strategy::roost.conflict_strategy, base,
            is_deletion, theirs
        FROM (
            VALUES
                (5::bigint, 'open', NULL, E'1\n\n2', false, E'1\n\n2!'),
                (7, 'resolved', 'mine', E'1\n\n2', false, E'1\n\n2!'),
                (9, 'open', NULL, E'1\n\n2', false, E'1\n\n2!'),
                (10, 'open', NULL, NULL, false, E'1\n\n2!'),
                (13, 'resolved', 'mine', E'1\n\n2', false, NULL),
                (22, 'resolved', 'mine', E'1\n\n2', true, E'1\n\n2!'),
                (23, 'open', NULL, E'1\n\n2', true, E'1\n\n2!')
        ) AS conflict (operation_id, state, strategy, base, is_deletion, theirs)
    $$,
    'what a person is to decide, or may want to know, is recorded'
);
SELECT results_eq(
    $$
        SELECT event, (payload ->> 'operation_id')::bigint, payload ->> 'theirs'
        FROM realtime.events
        WHERE topic = 'user:00000000-0000-7000-8000-00000000000a' ORDER BY event_offset
    $$,
    $$ VALUES
        ('conflict.opened', 5::bigint, NULL), ('conflict.resolved', 7, NULL),
        ('conflict.opened', 9, NULL), ('conflict.opened', 10, NULL),
        ('conflict.resolved', 13, NULL), ('conflict.resolved', 22, NULL),
        ('conflict.opened', 23, NULL) $$,
    'and all devices of the person are told'
);

-- Edits of one's own edits, before it was known what became of the first
SELECT pg_temp.message('0030', 'edit');
SELECT pg_temp.message('0031', 'edit');
SELECT pg_temp.message('0032', 'edit');
SELECT is(
    pg_temp.push(
        'd1',
        '[
            {"id": 25, "kind": "edit_message", "base_version": 1, "args": {
                "message_id": "$m0030", "content": {"text": "1!\n\n2"}
            }},
            {"id": 26, "kind": "edit_message", "base_version": 2, "args": {
                "message_id": "$m0030", "content": {"text": "1!!\n\n2"}
            }},
            {"id": 27, "kind": "edit_message", "base_version": 1, "args": {
                "message_id": "$m0031", "content": {"text": "1\n\n3"}
            }},
            {"id": 28, "kind": "edit_message", "base_version": 2, "args": {
                "message_id": "$m0031", "content": {"text": "1\n\n4"}
            }},
            {"id": 29, "kind": "edit_message", "args": {
                "message_id": "$m0032", "content": {"text": "1!\n\n2!"}, "based_on_version": 2
            }},
            {"id": 30, "kind": "edit_message", "base_version": 3, "args": {
                "message_id": "$m0032", "content": {"text": "1!!\n\n2!"}
            }}
        ]'
    ),
    '25 applied, 26 applied, 27 conflict RO303, 28 deferred RO306, 29 applied, 30 applied',
    'edits of edits'
);
SELECT is(
    pg_temp.text_of(edited.id), edited.text, 'an edit of an edit: ' || edited.id
)
FROM (
    VALUES
        ('0030', E'1!!\n\n2!{"a": 1}'),
        ('0031', E'1\n\n2!{"a": 1}'),
        ('0032', E'1!!\n\n2!{"a": 1}')
) AS edited (id, text);

SELECT set_config('roost.touched', '', true);
SELECT is(
    pg_temp.push(
        'd1',
        '[{"id": 27, "kind": "edit_message", "base_version": 1, "args": {
            "message_id": "$m0031", "content": {"text": "1\n\n3"}
        }}]'
    ),
    '27 duplicate conflict RO303', 'a conflict that is sent again is opened once'
);
SELECT is(
    current_setting('roost.touched', true), 'user:00000000-0000-7000-8000-00000000000a',
    'and the devices are told again, lest nobody has told them'
);

-- Fields
SELECT pg_temp.ask(
    'd2', 'SELECT api.update_me(''Ada'', ''{"a": 2, "b": 1, "tags": ["x", "z"]}'')'
);
CREATE FUNCTION pg_temp.account()
RETURNS text
LANGUAGE sql
AS $$
    SELECT display_name || preferences::text FROM roost.users
    WHERE id = '00000000-0000-7000-8000-00000000000a';
$$;
SELECT is(
    pg_temp.push(
        'd1',
        format(
            '[{"id": %s, "kind": "update_me", "base": %s, "policy": %s, "args": %s}]',
            change.id, change.base, to_json(change.policy), change.args
        )
    ) || ' ' || pg_temp.account(),
    change.id || ' ' || change.answer,
    format('update_me %s, based on %s, %s', change.args, change.base, change.policy)
)
FROM (
    VALUES
        (
            31, '{"preferences": {"a": 1, "b": 1}}', 'merge', '{"preferences": {"b": 2}}',
            'applied Ada{"a": 2, "b": 2, "tags": ["x", "z"]}'
        ),
        (
            32, '{"preferences": {"a": 1}}', 'merge', '{"preferences": {"a": 3}}',
            'conflict RO303 Ada{"a": 2, "b": 2, "tags": ["x", "z"]}'
        ),
        (
            33, '{"preferences": {"a": 1}}', 'manual', '{"preferences": {"a": 3, "b": null}}',
            'conflict RO303 Ada{"a": 2, "b": 2, "tags": ["x", "z"]}'
        ),
        (
            34, '{"preferences": {"a": 1}}', 'server_wins', '{"preferences": {"a": 3}}',
            'rejected RO303 Ada{"a": 2, "b": 2, "tags": ["x", "z"]}'
        ),
        (
            35, '{"preferences": {"tags": ["x", "y"]}}', 'merge',
            '{"preferences": {"tags": ["y", "w"]}}',
            'applied Ada{"a": 2, "b": 2, "tags": ["w", "z"]}'
        ),
        (
            36, '{"preferences": {"b": 2}}', 'merge', '{"preferences": {"b": null, "c": 1}}',
            'applied Ada{"a": 2, "c": 1, "tags": ["w", "z"]}'
        ),
        (
            37, '{"display_name": "A", "preferences": {"a": 1}}', 'client_wins',
            '{"display_name": "Lady", "preferences": {"a": 4}}',
            'applied Lady{"a": 4, "c": 1, "tags": ["w", "z"]}'
        ),
        (
            38, '{"preferences": {"a": 1}}', 'last_write_wins', '{"preferences": {"a": 5}}',
            'applied Lady{"a": 5, "c": 1, "tags": ["w", "z"]}'
        ),
        (39, '{}', 'merge', '{}', 'applied Lady{"a": 5, "c": 1, "tags": ["w", "z"]}'),
        (
            40, '{"preferences": 1}', 'merge', '{"preferences": {"a": 6}}',
            'rejected 22023 Lady{"a": 5, "c": 1, "tags": ["w", "z"]}'
        )
) AS change (id, base, policy, args, answer)
ORDER BY change.id;
SELECT is(
    pg_temp.push(
        'd1',
        '[
            {"id": 41, "kind": "update_conversation", "base": {"title": "Trips"}, "args": {
                "conversation_id": "$c1", "title": "Tours", "workspace_path": "/src"
            }},
            {"id": 42, "kind": "update_conversation", "base": {"title": "Plans"}, "args": {
                "conversation_id": "$c1", "title": "Tours"
            }}
        ]'
    ),
    '41 conflict RO303, 42 applied', 'fields of a conversation'
);
SELECT is(
    pg_temp.push(
        'e1', '[{"id": 1, "kind": "update_conversation", "base": {}, "args": {
            "conversation_id": "$c1", "title": "Mine"
        }}]'
    ),
    '1 rejected RO202', 'which a member may not change'
);

-- list_conflicts and get_conflict
SELECT is(
    pg_temp.ask(
        listed.device,
        format(
            'SELECT string_agg(operation_id::text, '' '' ORDER BY operation_id) FROM'
            ' api.list_conflicts(%s) WHERE num_nonnulls(base, mine, theirs, hunks) = 0',
            listed.arguments
        )
    ),
    listed.answer,
    format('list_conflicts(%s) on %s', listed.arguments, listed.device)
)
FROM (
    VALUES
        ('d1', '', '5 9 10 23 27 32 33 41'),
        ('d2', '', '5 9 10 23 27 32 33 41'),
        ('d2', '''resolved''', '7 13 22 37'),
        ('d2', 'NULL', '5 7 9 10 13 22 23 27 32 33 37 41'),
        ('e1', 'NULL', NULL)
) AS listed (device, arguments, answer);
SELECT is(
    pg_temp.ask(
        'd2',
        format(
            'SELECT count(*) || '' '' || bool_and(id < %L) FROM'
            ' api.list_conflicts(NULL, 3, before_id => %L)',
            newest.id, newest.id
        )
    ),
    '3 true', 'a page'
)
FROM (SELECT max(id::text) AS id FROM roost.sync_conflicts) AS newest;
SELECT throws_ok(
    pg_temp.on_device('d1', 'SELECT api.list_conflicts(page_size => 0)'),
    'RO302', NULL, 'there are no empty pages'
);
CREATE FUNCTION pg_temp.conflict(p_operation_id bigint)
RETURNS uuid
LANGUAGE sql
RETURN (SELECT id FROM roost.sync_conflicts WHERE operation_id = p_operation_id);
SELECT is(
    pg_temp.ask(
        'd2',
        format(
            'SELECT to_jsonb(conflict) - ''{id,created_at,target_id}''::text[] FROM'
            ' api.get_conflict(%L) AS conflict',
            pg_temp.conflict(32)
        )
    )::jsonb,
    '{
        "device_id": "00000000-0000-7000-8000-0000000000d1", "operation_id": 32,
        "offline_operation_id": null,
        "kind": "update_me", "policy": "merge", "target_kind": "account",
        "base": {"preferences": {"a": 1}}, "mine": {"preferences": {"a": 3}},
        "theirs": {"preferences": {"a": 2}},
        "hunks": [
            {"path": ["preferences", "a"], "base": 1, "mine": 3, "theirs": 2, "lines": null}
        ],
        "state": "open", "strategy": null, "resolution": null, "resolved_by": null,
        "resolved_at": null
    }'::jsonb,
    'a conflict is read on another device'
);

-- resolve_conflict: what is refused
INSERT INTO known SELECT 'state', pg_temp.state();
SELECT throws_ok(
    pg_temp.on_device(
        bad.device,
        format('SELECT api.resolve_conflict(%L, %s)', pg_temp.conflict(bad.id), bad.arguments)
    ),
    bad.sqlstate,
    NULL,
    format('resolve_conflict(%s, %s) on %s', bad.id, bad.arguments, bad.device)
)
FROM (
    VALUES
        ('d1', 5, 'NULL', 'RO302'),
        ('d1', 5, '''merged''', 'RO302'),
        ('d1', 5, '''merged'', ''[]''', 'RO302'),
        ('d1', 5, '''mine'', ''{}''', 'RO302'),
        ('d1', 5, '''merged'', ''{"text": ""}''', '23514'),
        ('d1', 41, '''merged'', ''{"titel": "All"}''', 'RO302'),
        ('d1', 7, '''theirs''', 'RO303'),
        ('d1', 0, '''mine''', 'RO201'),
        ('e1', 5, '''mine''', 'RO201'),
        ('e1', 7, '''mine''', 'RO201')
) AS bad (device, id, arguments, sqlstate);
SELECT throws_ok(
    pg_temp.on_device('e1', format('SELECT api.get_conflict(%L)', pg_temp.conflict(5))),
    'RO201', NULL, 'nobody reads what is somebody else''s'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');

-- resolve_conflict
SELECT is(
    pg_temp.ask(
        'd2',
        format(
            'SELECT concat_ws('' '', state, strategy, right(resolved_by::text, 2), resolution)'
            ' FROM api.resolve_conflict(%L, %s)',
            pg_temp.conflict(decided.id), decided.arguments
        )
    ),
    decided.answer,
    format('%s is decided: %s', decided.id, decided.arguments)
)
FROM (
    VALUES
        (5, '''mine''', 'resolved mine d2'),
        (5, '''mine''', 'resolved mine d2'),
        (9, '''theirs''', 'resolved theirs d2'),
        (10, '''merged'', ''{"text": "y"}''', 'resolved merged d2 {"text": "y"}'),
        (10, '''merged'', ''{"text": "y"}''', 'resolved merged d2 {"text": "y"}'),
        (23, '''mine''', 'resolved mine d2'),
        (27, '''merged'', ''{"text": "z"}''', 'resolved merged d2 {"text": "z"}'),
        (32, '''mine''', 'resolved mine d2'),
        (
            33, '''merged'', ''{"display_name": "Ada"}''',
            'resolved merged d2 {"display_name": "Ada"}'
        ),
        (41, '''merged'', ''{"title": "All"}''', 'resolved merged d2 {"title": "All"}')
) AS decided (id, arguments, answer);
SELECT is(
    concat_ws(
        ' ', pg_temp.text_of('0005'), pg_temp.text_of('0009'), pg_temp.text_of('0010'),
        pg_temp.text_of('0023'), pg_temp.text_of('0031'), pg_temp.account(),
        (
            SELECT title FROM roost.conversations
            WHERE id = '00000000-0000-7000-9000-000000000001'
        )
    ),
    E'1\n\n3{"a": 1} 1\n\n2!{"a": 1} y{"a": 1} gone z{"a": 1}'
    ' Ada{"a": 3, "c": 1, "tags": ["w", "z"]} All',
    'and that is what is there'
);
SELECT is(
    (
        SELECT count(*) FROM realtime.events
        WHERE topic = 'user:00000000-0000-7000-8000-00000000000a'
            AND event = 'conflict.resolved'
            AND payload ->> 'resolved_by' = '00000000-0000-7000-8000-0000000000d2'
    ),
    8::bigint,
    'of each all devices are told once'
);
SELECT is(pg_temp.ask('d1', 'SELECT count(*) FROM api.list_conflicts()'), '0', 'none is open');

-- A conflict that somebody else has decided since it was read
SELECT throws_ok(
    $$
        CREATE FUNCTION roost.decide_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS $f$
        BEGIN
            UPDATE roost.sync_conflicts
            SET state = 'resolved', strategy = 'theirs', resolved_at = now()
            WHERE target_id = NEW.id;
            RETURN NULL;
        END $f$;
        CREATE TRIGGER zz_decide AFTER UPDATE OF content ON roost.messages
        FOR EACH ROW EXECUTE FUNCTION roost.decide_first();
        UPDATE roost.sync_conflicts
        SET state = 'open', strategy = NULL, resolution = NULL, resolved_at = NULL
        WHERE operation_id = 9;
    $$ || pg_temp.on_device(
        'd1', format('SELECT api.resolve_conflict(%L, ''mine'')', pg_temp.conflict(9))
    ),
    'RO303', NULL, 'is decided already'
);

-- What is gone
SELECT pg_temp.ask('d1', 'SELECT api.purge_message(''00000000-0000-7000-a000-000000000005'')');
DELETE FROM roost.messages WHERE id = '00000000-0000-7000-a000-000000000009';
SELECT is(
    (SELECT count(*) FROM roost.sync_conflicts WHERE operation_id IN (5, 9)), 0::bigint,
    'conflicts go with their messages'
);
UPDATE roost.sync_conflicts SET resolved_at = now() - interval '31 days'
WHERE operation_id IN (7, 10);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_sync_operations(2)'), '2',
    'those decided long ago are forgotten'
);
SELECT is(
    (SELECT count(*) FROM roost.sync_conflicts WHERE operation_id IN (7, 10)), 0::bigint, 'both'
);

SELECT * FROM finish();

ROLLBACK;

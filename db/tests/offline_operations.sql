-- The queue of what devices could not do: enqueued, carried out in order, tried again, failed,
-- retried, discarded, listed, forgotten; each kind of caller, each refusal. Who waits for whom is
-- for tests/test_offline_operations.py.
BEGIN;

SELECT plan(152);

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

-- A statement that calls as a person on a device: ada's where it is d1 or d2. $c1, $m1 and $o1 are
-- the ids of a conversation, a message and an operation.
CREATE FUNCTION pg_temp.written(p_text text)
RETURNS text
LANGUAGE sql
RETURN replace(
    replace(
        regexp_replace(p_text, '\$o(\d)', '00000000-0000-7000-c000-00000000000\1', 'g'),
        '$c', '00000000-0000-7000-9000-00000000000'
    ),
    '$m', '00000000-0000-7000-a000-00000000000'
);
CREATE FUNCTION pg_temp.on_device(p_device text, p_query text)
RETURNS text
LANGUAGE sql
RETURN format(
    'SELECT set_config(''roost.device_id'', %L, true) IS NULL, as_caller(''roost_user'', %L, %L)',
    coalesce('00000000-0000-7000-8000-0000000000' || p_device, ''),
    '00000000-0000-7000-8000-00000000000' || CASE p_device WHEN 'e1' THEN 'b' ELSE 'a' END,
    pg_temp.written(p_query)
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
-- What a device is answered, as "id status" of each operation.
CREATE FUNCTION pg_temp.enqueue(p_device text, p_operations text)
RETURNS text
LANGUAGE sql
RETURN pg_temp.ask(
    p_device,
    format(
        'SELECT string_agg(concat_ws('' '', right(added.id::text, 1), added.status), '', '')'
        ' FROM api.enqueue_operations(%L) AS added',
        p_operations
    )
);
CREATE FUNCTION pg_temp.run()
RETURNS text
LANGUAGE sql
RETURN as_caller('roost_gateway', NULL, 'SELECT roost.run_offline_operations(100)');
-- The whole queue, as "id status code retries" of each, with a + where it is due.
CREATE FUNCTION pg_temp.queue(p_device text)
RETURNS text
LANGUAGE sql
RETURN (
    SELECT string_agg(
        concat_ws(
            ' ', right(o.id::text, 1), o.status, o.code, nullif(o.retry_count, 0),
            CASE WHEN o.next_attempt_at <= now() THEN '+' END
        ),
        ', ' ORDER BY o.position
    )
    FROM roost.offline_operations AS o
    WHERE o.device_id::text LIKE '%' || p_device
);
-- As if the time of all that waits for its time had come.
CREATE FUNCTION pg_temp.make_due()
RETURNS void
LANGUAGE sql
AS $$
    UPDATE roost.offline_operations SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL;
    UPDATE roost.sync_devices SET offline_due_at = now();
$$;
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(known ORDER BY device_id) FROM roost.sync_devices AS known),
        (SELECT json_agg(o ORDER BY position) FROM roost.offline_operations AS o),
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
    VALUES
        ('api.enqueue_operations(''[{}]'')'),
        ('api.process_offline_operations()'),
        ('api.list_offline_operations()'),
        ('api.retry_operation(gen_random_uuid())'),
        ('api.discard_operation(gen_random_uuid())')
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
        ('roost.run_offline_operations(1)', 'roost_gateway'),
        ('roost.lock_offline_queue(NULL)', 'roost_api'),
        ('roost.schedule_offline_queue(NULL, 0)', 'roost_api'),
        ('roost.release_dependants(NULL)', 'roost_api'),
        ('roost.fail_dependants(NULL)', 'roost_api'),
        ('roost.end_offline_operations(NULL, true, 1)', 'roost_owner')
) AS called (call, allowed)
JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway'), ('roost_api')
) AS caller (role) ON caller.role <> called.allowed;

-- What is no list of operations, or not of a device: nothing is done by halves
SELECT throws_ok(
    pg_temp.on_device(bad.device, format('SELECT api.enqueue_operations(%s)', bad.operations)),
    bad.sqlstate,
    NULL,
    format('%s: %s on %s', bad.sqlstate, left(bad.operations, 80), coalesce(bad.device, 'none'))
)
FROM (
    VALUES
        ('RO302', NULL, '''[{"kind": "update_me", "args": {}}]'''),
        ('RO302', 'ff', '''[{"kind": "update_me", "args": {}}]'''),
        ('RO302', 'd1', 'NULL'),
        ('RO302', 'd1', '''{}'''),
        ('RO302', 'd1', '''[]'''),
        ('RO302', 'd1', '''[1]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {}}, {}]'''),
        ('RO302', 'd1', '''[{"id": 1, "kind": "update_me", "args": {}}]'''),
        ('RO302', 'd1', '''[{"id": "x", "kind": "update_me", "args": {}}]'''),
        ('RO302', 'd1', '''[{"kind": "x", "args": {}}]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": []}]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {"x": 1}}]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {}, "x": 1}]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {}, "max_retries": 21}]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {}, "depends_on": [1]}]'''),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {}, "depends_on": ["$o1"]}]'''),
        (
            'RO302', 'd1',
            '''[{"id": "$o1", "kind": "update_me", "args": {}, "depends_on": ["$o1"]}]'''
        ),
        ('RO302', 'd1', '''[{"kind": "update_me", "args": {}, "base": []}]'''),
        ('22P02', 'd1', '''[{"kind": "edit_message", "args": {"message_id": "1"}}]'''),
        (
            'RO302', 'd1',
            '(SELECT jsonb_agg(''{"kind": "update_me", "args": {}}''::jsonb)'
            ' FROM generate_series(1, 1001))'
        )
) AS bad (sqlstate, device, operations);
SELECT throws_ok(
    pg_temp.on_device('d1', format('SELECT api.process_offline_operations(%s)', bad.most)),
    'RO302', NULL, 'no number of operations: ' || bad.most
)
FROM (VALUES ('0'), ('1001'), ('NULL')) AS bad (most);
SELECT throws_ok(
    pg_temp.on_device(NULL, 'SELECT api.process_offline_operations()'),
    'RO302', NULL, 'without a device there is no queue'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing has changed');
SELECT is(pg_temp.run(), '0', 'nothing is due');

-- Enqueued once, in order
SELECT is(
    pg_temp.enqueue('d1', '[
        {"id": "$o1", "kind": "send_message", "queued_at": "2026-01-01T00:00:00Z",
            "args": {"conversation_id": "$c1", "id": "$m1", "content": {"text": "one"}}},
        {"id": "$o2", "kind": "add_reaction", "args": {"message_id": "$m1", "reaction": "ok"}},
        {"id": "$o3", "kind": "update_me", "args": {"display_name": "Ada"},
            "depends_on": ["$o2", "$o1"]}
    ]'),
    '1 pending, 2 pending, 3 pending', 'a list'
);
SELECT is(
    pg_temp.queue('d1'), '1 pending +, 2 pending, 3 pending',
    'a reaction waits for the message that is yet to be made'
);
SELECT is(
    pg_temp.enqueue('d1', '[{"args": {"reaction": "ok", "message_id": "$m1"},
        "id": "$o2", "kind": "add_reaction"}]'),
    '2 pending', 'the same is there already'
);
SELECT throws_ok(
    pg_temp.on_device(other.device, format('SELECT api.enqueue_operations(%L)', other.operations)),
    'RO301', NULL, 'another operation under the same id on ' || other.device
)
FROM (
    VALUES
        ('d1', '[{"id": "$o3", "kind": "update_me", "args": {"display_name": "x"}}]'),
        ('d2', '[{"args": {"reaction": "ok", "message_id": "$m1"}, "id": "$o2",
            "kind": "add_reaction"}]')
) AS other (device, operations);
SELECT is(
    pg_temp.enqueue('e1', '[{"id": "$o1", "kind": "update_me", "args": {"display_name": "G"}}]'),
    '1 pending', 'somebody else has ids of their own'
);
SELECT throws_ok(
    pg_temp.on_device('d2', 'SELECT api.enqueue_operations(''[{"kind": "update_me", "args": {},
        "depends_on": ["$o1"]}]'')'),
    'RO302', NULL, 'an operation depends on those of its own device'
);

-- Carried out as the person on the device, one device after the other
INSERT INTO known SELECT 'first', pg_temp.run();
INSERT INTO known SELECT 'second', pg_temp.run();
SELECT is(
    (SELECT array_agg(value::text ORDER BY value) FROM known WHERE name IN ('first', 'second')),
    ARRAY['1', '3'], 'each call takes one device'
);
SELECT is(pg_temp.run(), '0', 'and then there is nothing');
SELECT is(
    concat(current_setting('roost.user_id'), current_setting('roost.device_id')), '',
    'nobody is signed in afterwards'
);
SELECT is(
    pg_temp.queue('d1'), '1 completed, 2 completed, 3 completed', 'those that waited are done too'
);
SELECT is(
    (
        SELECT concat_ws(' ', right(message.user_id::text, 1), right(message.device_id::text, 2))
        FROM roost.messages AS message
    ),
    'a d1', 'the message is of the person and the device'
);
SELECT is(
    (
        SELECT string_agg(concat_ws(' ', event.event, right(event.payload ->> 'id', 1)), ', '
            ORDER BY event.event_offset)
        FROM realtime.events AS event
        WHERE event.topic = 'user:00000000-0000-7000-8000-00000000000a'
            AND event.event LIKE 'offline_operation.%'
    ),
    'offline_operation.completed 1, offline_operation.completed 2, offline_operation.completed 3',
    'all devices of the person are told'
);
SELECT is(
    (SELECT count(*) FROM roost.offline_operations AS o WHERE o.args IS NOT NULL), 0::bigint,
    'what is done as it says is not kept'
);
SELECT is(
    pg_temp.ask('d2', format('SELECT count(*) FROM api.list_offline_operations(%s)', page.args)),
    page.answer, 'a list of ' || page.args
)
FROM (
    VALUES
        ('', '0'),
        ('device_id => ''00000000-0000-7000-8000-0000000000d1''', '3'),
        ('device_id => ''00000000-0000-7000-8000-0000000000e1''', '0'),
        ('''completed'', ''00000000-0000-7000-8000-0000000000d1'', 2', '2'),
        ('''failed'', ''00000000-0000-7000-8000-0000000000d1''', '0')
) AS page (args, answer);
SELECT is(
    pg_temp.ask(
        'd1',
        'SELECT count(*) FROM api.list_offline_operations(NULL, NULL, 50, (SELECT max(position)'
        ' FROM api.list_offline_operations()))'
    ),
    '2', 'the next page'
);
SELECT throws_ok(
    pg_temp.on_device('d1', 'SELECT api.list_offline_operations(page_size => 0)'),
    'RO302', NULL, 'there are no empty pages'
);

-- Tried again, and failed in the end; those behind go on, those that depend on it wait
SELECT is(
    pg_temp.enqueue('d1', '[
        {"id": "$o4", "kind": "mark_read", "args": {"conversation_id": "$c9", "up_to_seq": 1},
            "max_retries": 1},
        {"id": "$o5", "kind": "update_me", "args": {"display_name": "A"}, "depends_on": ["$o4"]},
        {"id": "$o6", "kind": "update_me", "args": {"display_name": "B"}, "depends_on": ["$o5"]},
        {"id": "$o7", "kind": "update_me", "args": {"display_name": "C"}}
    ]'),
    '4 pending, 5 pending, 6 pending, 7 pending', 'enqueued'
);
SELECT is(
    pg_temp.ask('d1', 'SELECT api.process_offline_operations(1)'), '1',
    'the device may have it done at once'
);
SELECT is(pg_temp.run(), '1', 'the next is not in its way');
SELECT is(
    substring(pg_temp.queue('d1') FROM '4 .*'),
    '4 pending RO201 1, 5 pending, 6 pending, 7 completed',
    'one will be tried again'
);
SELECT ok(
    o.next_attempt_at BETWEEN now() + interval '0.4 seconds' AND now() + interval '60 seconds'
    AND o.hint IS NOT NULL
    AND known.offline_due_at = o.next_attempt_at,
    'in a second or so'
)
FROM roost.offline_operations AS o
JOIN roost.sync_devices AS known ON known.device_id = o.device_id
WHERE o.id::text LIKE '%4';
SELECT pg_temp.make_due();
SELECT is(pg_temp.run(), '1', 'it is tried again');
SELECT is(
    substring(pg_temp.queue('d1') FROM '4 .*'),
    '4 failed RO201 1, 5 pending, 6 pending, 7 completed',
    'and has failed'
);
SELECT ok(
    known.offline_due_at BETWEEN now() + interval '1 minute' AND now() + interval '1 hour',
    'a queue in which all wait is looked at by the hour'
)
FROM roost.sync_devices AS known WHERE known.device_id::text LIKE '%d1';
SELECT pg_temp.make_due();
SELECT is(pg_temp.run(), '0', 'and nothing is found');

-- Retried and discarded, on any device of the person
SELECT throws_ok(
    pg_temp.on_device(refused.device, format('SELECT api.%s(%L)', refused.called, refused.id)),
    refused.sqlstate, NULL, format('%s %s on %s', refused.called, refused.id, refused.device)
)
FROM (
    VALUES
        ('RO201', 'e1', 'retry_operation', '$o4'),
        ('RO201', 'e1', 'discard_operation', '$o4'),
        ('RO201', 'd1', 'retry_operation', '$o9'),
        ('RO201', 'd1', 'discard_operation', NULL),
        ('RO303', 'd1', 'retry_operation', '$o1'),
        ('RO303', 'd1', 'discard_operation', '$o1')
) AS refused (sqlstate, device, called, id);
SELECT is(
    pg_temp.ask('d2', 'SELECT concat(status, retry_count) FROM api.retry_operation(''$o4'')'),
    'pending0', 'retried'
);
SELECT is(
    pg_temp.ask('d2', 'SELECT next_attempt_at IS NULL FROM api.retry_operation(''$o5'')'),
    'true', 'one that waits goes on waiting'
);
SELECT is(
    pg_temp.ask('d2', 'SELECT status FROM api.discard_operation(''$o4'')'), 'discarded', 'discarded'
);
SELECT is(
    pg_temp.ask('d1', 'SELECT status FROM api.discard_operation(''$o4'')'), 'discarded',
    'discarding it again changes nothing'
);
SELECT is(
    substring(pg_temp.queue('d1') FROM '4 .*'),
    '4 discarded RO201, 5 failed RO306, 6 pending, 7 completed',
    'what depends on it has failed, and what depends on that waits'
);
SELECT throws_ok(
    pg_temp.on_device('d1', refused.query), refused.sqlstate, NULL, 'refused: ' || refused.query
)
FROM (
    VALUES
        ('RO306', 'SELECT api.retry_operation(''$o5'')'),
        ('RO303', 'SELECT api.retry_operation(''$o4'')'),
        (
            'RO306',
            'SELECT api.enqueue_operations(''[{"kind": "update_me", "args": {},'
            ' "depends_on": ["$o4"]}]'')'
        )
) AS refused (sqlstate, query);
SELECT is(
    (
        SELECT string_agg(concat_ws(' ', event.event, right(event.payload ->> 'id', 1)), ', '
            ORDER BY event.event_offset)
        FROM (
            SELECT * FROM realtime.events
            WHERE topic = 'user:00000000-0000-7000-8000-00000000000a'
                AND event ~ '^offline_operation[.](failed|discarded)$'
        ) AS event
    ),
    'offline_operation.failed 4, offline_operation.discarded 4, offline_operation.failed 5',
    'all devices of the person are told'
);

-- Conflicts, by the policies of operations
SELECT as_caller(
    'roost_user', '00000000-0000-7000-8000-00000000000a',
    format('SELECT api.edit_message(%L, ''{"text": "two"}'', 1)', pg_temp.written('$m1'))
);
DELETE FROM roost.offline_operations;
SELECT is(
    pg_temp.enqueue('d1', '[
        {"id": "$o1", "kind": "edit_message", "base_version": 1, "policy": "manual",
            "args": {"message_id": "$m1", "content": {"text": "three"}}},
        {"id": "$o2", "kind": "edit_message", "base_version": 2, "max_retries": 0,
            "args": {"message_id": "$m1", "content": {"text": "four"}}},
        {"id": "$o3", "kind": "edit_message", "base_version": 1, "policy": "server_wins",
            "max_retries": 0, "args": {"message_id": "$m1", "content": {"text": "five"}}}
    ]'),
    '1 pending, 2 pending, 3 pending', 'edits'
);
SELECT is(pg_temp.run(), '3', 'all are tried');
SELECT is(
    pg_temp.queue('d1'), '1 completed RO303, 2 failed RO306, 3 failed RO303',
    'a conflict, an edit of an edit that is not applied, and one that the server wins'
);
SELECT is(
    (
        SELECT concat_ws(' ', conflict.state, right(conflict.offline_operation_id::text, 1),
            conflict.id = o.conflict_id, conflict.operation_id)
        FROM roost.sync_conflicts AS conflict
        JOIN roost.offline_operations AS o ON o.conflict_id = conflict.id
    ),
    'open 1 t', 'the conflict names the operation'
);
SELECT is(
    (SELECT o.details FROM roost.offline_operations AS o WHERE o.id::text LIKE '%3'), NULL,
    'what somebody else has written is not kept'
);
SELECT is(
    (
        SELECT count(*) FROM realtime.events
        WHERE event = 'conflict.opened' AND topic LIKE 'user:%'
    ),
    1::bigint, 'the conflict is told of'
);

-- What it was to say goes with the message
SELECT isnt(
    (SELECT count(o.args) FROM roost.offline_operations AS o), 0::bigint, 'arguments are kept'
);
UPDATE roost.messages SET purged_at = now(), deleted_at = now(), content = NULL, metadata = '{}'
WHERE id = '00000000-0000-7000-a000-000000000001';
SELECT is(
    (SELECT count(o.args) FROM roost.offline_operations AS o), 0::bigint,
    'until the message is deleted for good'
);
SELECT pg_temp.ask('d1', 'SELECT api.retry_operation(''$o3'')');
SELECT is(pg_temp.run(), '1', 'an operation without arguments is tried');
SELECT is(
    (SELECT o.code FROM roost.offline_operations AS o WHERE o.id::text LIKE '%3'), 'RO305',
    'and fails'
);

-- Whatever goes wrong is that of the operation alone
DELETE FROM roost.offline_operations;
CREATE FUNCTION public.go_wrong()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('test.sqlstate', true) <> '' THEN
        RAISE EXCEPTION USING ERRCODE = current_setting('test.sqlstate');
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER go_wrong BEFORE UPDATE ON roost.users
FOR EACH ROW EXECUTE FUNCTION public.go_wrong();
SELECT pg_temp.enqueue('d1', '[{"id": "$o1", "kind": "update_me", "args": {"display_name": "D"}}]');
SELECT set_config('test.sqlstate', '57014', true);
SELECT set_config('statement_timeout', '0', true);
-- throws_ok() does not catch this one.
CREATE FUNCTION pg_temp.is_canceled(p_query text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE p_query;
    RETURN false;
EXCEPTION
    WHEN query_canceled THEN
        RETURN true;
END;
$$;
SELECT ok(
    pg_temp.is_canceled(
        'SELECT pg_temp.ask(''d1'', ''SELECT api.process_offline_operations()'')'
    ),
    'a server that ends is no failure of the operation'
);
SELECT is(pg_temp.queue('d1'), '1 pending +', 'which is as it was');
-- The setting counts for statements that begin after it, so this one is not ended by it.
CREATE FUNCTION pg_temp.process_too_late()
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_tried text;
BEGIN
    PERFORM set_config('statement_timeout', '1ms', true);
    PERFORM pg_sleep(0.002);
    v_tried := pg_temp.ask('d1', 'SELECT api.process_offline_operations()');
    PERFORM set_config('statement_timeout', '0', true);
    RETURN v_tried;
END;
$$;
SELECT is(pg_temp.process_too_late(), '1', 'a time that is over is one');
SELECT is(pg_temp.queue('d1'), '1 pending 57014 1', 'and it is tried again');
SELECT set_config('test.sqlstate', '40P01', true);
SELECT pg_temp.make_due();
SELECT is(pg_temp.run(), '1', 'a deadlock is one');
SELECT set_config('test.sqlstate', 'P0004', true);
SELECT pg_temp.make_due();
SELECT is(pg_temp.run(), '1', 'and so is what is not among others');
SELECT is(pg_temp.queue('d1'), '1 pending P0004 3', 'each is counted');
SELECT set_config('test.sqlstate', '', true);
SELECT pg_temp.make_due();
SELECT is(pg_temp.run(), '1', 'in the end it works');
SELECT is(pg_temp.queue('d1'), '1 completed 3', 'and the error is gone');

-- A batch that fails as a whole keeps no other device waiting
CREATE TRIGGER go_wrong BEFORE INSERT OR UPDATE ON realtime.topics
FOR EACH ROW EXECUTE FUNCTION public.go_wrong();
SELECT pg_temp.enqueue('d1', '[{"id": "$o2", "kind": "mark_read", "max_retries": 0,
    "args": {"conversation_id": "$c9", "up_to_seq": 1}}]');
SELECT set_config('test.sqlstate', '55P03', true);
SELECT set_config('client_min_messages', 'error', true);
SELECT is(pg_temp.run(), '0', 'the inbox can not be written to');
SELECT set_config('client_min_messages', 'notice', true);
SELECT set_config('test.sqlstate', '', true);
SELECT is(pg_temp.queue('d1'), '1 completed 3, 2 pending +', 'nothing is lost');
SELECT ok(known.offline_due_at > now(), 'it is left to a later call')
FROM roost.sync_devices AS known WHERE known.device_id::text LIKE '%d1';

-- Progress of a long queue
SELECT pg_temp.ask(
    'd2',
    'SELECT count(*) FROM api.enqueue_operations((SELECT jsonb_agg(''{"kind": "mark_read",'
    ' "args": {"conversation_id": "$c1", "up_to_seq": 0}}''::jsonb) FROM generate_series(1, 25)))'
);
SELECT set_config('roost.touched', '', true);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.run_offline_operations(10)'), '10', 'a piece'
);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.run_offline_operations(100)'), '15', 'the rest'
);
SELECT is(
    (
        SELECT string_agg(concat_ws(
            ' ', told.payload ->> 'work', told.payload ->> 'done', told.payload ->> 'total'
        ), ', ')
        FROM (
            SELECT split_part(line, E'\t', 3)::json AS payload
            FROM string_to_table(current_setting('roost.touched'), E'\n') AS line
            WHERE line LIKE E'~user:%\tsync.progress\t%'
        ) AS told
    ),
    'offline_operations 10 25, offline_operations 25 25', 'each piece tells how far it has come'
);
SELECT ok(
    realtime.is_reserved_event('user:x', reserved.name), reserved.name || ' is the server''s own'
)
FROM (VALUES ('sync.progress'), ('offline_operation.completed')) AS reserved (name);

-- Who may not go on
SELECT pg_temp.make_due();
SELECT pg_temp.enqueue('d1', '[{"id": "$o3", "kind": "update_me", "args": {"display_name": "E"}}]');
UPDATE roost.users SET status = 'suspended' WHERE id = '00000000-0000-7000-8000-00000000000a';
SELECT is(pg_temp.run(), '2', 'the account is not active');
SELECT is(
    pg_temp.queue('d1'), '1 completed 3, 2 failed RO103, 3 failed RO103', 'so they have failed'
);
UPDATE roost.users SET status = 'active' WHERE id = '00000000-0000-7000-8000-00000000000a';
SELECT pg_temp.ask('d1', 'SELECT api.retry_operation(''$o3'')');
UPDATE roost.devices SET status = 'revoked' WHERE id::text LIKE '%d1';
SELECT is(pg_temp.run(), '2', 'the device is revoked');
SELECT is(
    pg_temp.queue('d1'), '1 completed 3, 2 discarded RO202, 3 discarded RO202',
    'so they are discarded, those that have failed too'
);
SELECT is(
    (SELECT known.offline_due_at FROM roost.sync_devices AS known
    WHERE known.device_id::text LIKE '%d1'), NULL,
    'and the queue is not looked at any more'
);

-- Not without end
INSERT INTO roost.offline_operations (device_id, user_id, kind, policy, body_hash)
SELECT device.id, device.user_id, 'update_me', 'merge', ''
FROM roost.devices AS device, generate_series(1, 10000)
WHERE device.id::text LIKE '%e1';
SELECT throws_ok(
    pg_temp.on_device(
        'e1', 'SELECT api.enqueue_operations(''[{"kind": "update_me", "args": {}}]'')'
    ),
    'RO205', NULL, 'at most 10,000 are in a queue'
);

-- Forgotten after 30 days
UPDATE roost.offline_operations SET completed_at = now() - interval '31 days'
WHERE completed_at IS NOT NULL AND id::text LIKE '%1' AND device_id::text LIKE '%d1';
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_sync_operations(1)'), '1',
    'there may be more'
);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.expire_sync_operations(1)'), '0', 'no more'
);
SELECT is(pg_temp.queue('d1'), '2 discarded RO202, 3 discarded RO202', 'the old one is gone');

SELECT * FROM finish();

ROLLBACK;

-- Workspaces and who is in them: each kind of caller, each role, each refusal, and what is told to
-- whom. Who waits for whom is for tests/test_workspaces.py.
BEGIN;

SELECT plan(251);

CREATE TEMPORARY TABLE person (name text PRIMARY KEY, id uuid);
INSERT INTO person
SELECT name, ('00000000-0000-7000-8000-00000000000' || letter)::uuid
FROM (VALUES ('ada', 'a'), ('grace', 'b'), ('joan', 'c'), ('mary', 'd')) AS listed (name, letter);
SELECT make_user(id, name || '@example.com') FROM person;
INSERT INTO person VALUES ('nobody', NULL);
UPDATE roost.users SET status = 'suspended' WHERE email = 'mary@example.com';
SELECT make_session(
    person.id, '00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-0000000000ea'
)
FROM person
WHERE person.name = 'ada';
SELECT set_config('roost.gateway', 'on', true);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);

-- $1, $2 and so on are ids of workspaces, $ada and so on of people.
CREATE FUNCTION pg_temp.with_ids(p_text text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_text text := regexp_replace(
        p_text, '\$([0-9])', '00000000-0000-7000-9000-00000000000\1', 'g'
    );
    v_person record;
BEGIN
    FOR v_person IN SELECT person.* FROM person WHERE person.id IS NOT NULL LOOP
        v_text := replace(v_text, '$' || v_person.name, v_person.id::text);
    END LOOP;
    RETURN v_text;
END;
$$;
CREATE FUNCTION pg_temp.asking(p_person text, p_query text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT calling('roost_user', person.id, 'SELECT ' || pg_temp.with_ids(p_query))
    FROM person WHERE person.name = p_person;
$$;
CREATE FUNCTION pg_temp.ask(p_person text, p_query text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT as_caller('roost_user', person.id, 'SELECT ' || pg_temp.with_ids(p_query))
    FROM person WHERE person.name = p_person;
$$;
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(workspace ORDER BY id) FROM roost.workspaces AS workspace),
        (
            SELECT json_agg(member ORDER BY workspace_id, user_id)
            FROM roost.workspace_members AS member
        ),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event),
        (SELECT json_agg(topic ORDER BY topic) FROM realtime.topics AS topic)
    );
$$;
-- What was told in a topic, with the names of people.
CREATE FUNCTION pg_temp.told(p_topic text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat_ws(
            ' ', event.event_offset, event.event,
            coalesce(person.name, event.payload ->> 'name'),
            coalesce(event.payload ->> 'role', 'by ' || adder.name),
            'ends ' || coalesce(ended.name, event.revokes),
            'grants ' || event.grants_after
        ),
        ', ' ORDER BY event.event_offset
    )
    FROM realtime.events AS event
    LEFT JOIN person ON person.id::text = event.payload ->> 'user_id'
        AND event.event LIKE 'workspace\_member.%'
    LEFT JOIN person AS adder ON adder.id::text = event.payload ->> 'added_by'
    LEFT JOIN person AS ended ON ended.id::text = event.revokes
    WHERE event.topic = pg_temp.with_ids(p_topic);
$$;
CREATE TEMPORARY TABLE known (name text PRIMARY KEY, value text);

-- Who may call
CREATE TEMPORARY TABLE called (call text);
INSERT INTO called
VALUES
('api.create_workspace(''Roost'', ''/roost'')'),
('api.get_workspace(''$1'')'),
('api.list_workspaces()'),
('api.update_workspace(''$1'', ''x'')'),
('api.delete_workspace(''$1'')'),
('api.touch_workspace(''$1'')'),
('api.add_workspace_member(''$1'', ''$grace'')'),
('api.update_workspace_member(''$1'', ''$grace'', ''editor'')'),
('api.remove_workspace_member(''$1'', ''$grace'')'),
('api.leave_workspace(''$1'')'),
('api.list_workspace_members(''$1'')');
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || pg_temp.with_ids(called.call)),
    caller.sqlstate,
    NULL,
    format('%s may not call %s', caller.role, called.call)
)
FROM called
CROSS JOIN (
    VALUES
        ('roost_anon', '42501'),
        ('roost_service', '42501'),
        ('roost_gateway', '42501'),
        ('roost_user', 'RO101')
) AS caller (role, sqlstate);
SELECT throws_ok(
    calling(caller.role, NULL, 'SELECT ' || inner_call.call),
    '42501',
    NULL,
    format('%s may not call %s', caller.role, inner_call.call)
)
FROM (
    VALUES
        ('roost.publish_workspace(NULL, ''x'')'),
        ('roost.publish_workspace_member(NULL, NULL, ''x'')'),
        ('roost.end_workspace_membership(NULL, NULL)'),
        ('roost.lock_workspace(NULL, ''viewer'')'),
        ('roost.move_last_accessed(NULL)'),
        ('roost.own_workspace_role(NULL)')
) AS inner_call (call)
CROSS JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')
) AS caller (role);
SELECT is((SELECT count(*) FROM roost.workspaces), 0::bigint, 'nothing came of that');

-- Making one
SELECT is(
    pg_temp.ask(
        'ada',
        'to_jsonb(made) - ARRAY[''last_accessed'', ''created_at'', ''updated_at'']'
        ' FROM api.create_workspace(''Roost'', ''/home//ada/'', ''{"tab": 4}'', ''$1'') AS made'
    )::jsonb,
    pg_temp.with_ids(
        '{"id": "$1", "user_id": "$ada", "name": "Roost", "path": "/home/ada", "role": "owner",'
        ' "settings": {"tab": 4}, "change_seq": 0}'
    )::jsonb,
    'a workspace is its maker''s'
);
SELECT is(
    pg_temp.told('user:$ada'), '1 workspace.added Roost by ada grants 0', 'whose inbox hears of it'
);
SELECT is(pg_temp.told('workspace:$1'), NULL, 'in its own topic nothing has happened');
INSERT INTO known SELECT 'state', pg_temp.state();
SELECT is(
    pg_temp.ask('ada', 'name FROM api.create_workspace(''Other'', ''/other'', ''{}'', ''$1'')'),
    'Roost',
    'sent again it is answered as it is'
);
SELECT throws_ok(
    pg_temp.asking(refused.person, refused.call),
    refused.sqlstate,
    NULL,
    format('refused, %s: %s', refused.person, refused.call)
)
FROM (
    VALUES
        -- One path, however it is written
        ('ada', 'api.create_workspace(''x'', ''/home/ada'')', 'RO301'),
        ('ada', 'api.create_workspace(''x'', ''//home/ada//'', id => ''$2'')', 'RO301'),
        ('grace', 'api.create_workspace(''x'', ''/x'', id => ''$1'')', 'RO301'),
        ('ada', 'api.create_workspace('''', ''/x'')', '23514'),
        ('ada', 'api.create_workspace(repeat(''x'', 201), ''/x'')', '23514'),
        ('ada', 'api.create_workspace(NULL, ''/x'')', '23502'),
        ('ada', 'api.create_workspace(''x'', ''/x'', ''[]'')', '23514'),
        ('ada', 'api.create_workspace(''x'', ''/x'', NULL)', '23502'),
        (
            'ada',
            'api.create_workspace(''x'', ''/x'', jsonb_build_object(''k'', repeat(''x'', 65536)))',
            '23514'
        ),
        ('ada', 'api.create_workspace(''x'', NULL)', 'RO302'),
        ('ada', 'api.create_workspace(''x'', ''src/x'')', 'RO302')
) AS refused (person, call, sqlstate);
SELECT is(
    pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing came of that, either'
);

-- Paths, of any system
SELECT is(roost.normalise_path(sent.path), sent.wanted, format('%s is %s', sent.path, sent.wanted))
FROM (
    VALUES
        ('/', '/'),
        ('///', '/'),
        ('/a//b/', '/a/b'),
        ('/a\b', '/a\b'),
        ('~', '~'),
        ('~/', '~'),
        ('~//src', '~/src'),
        ('~grace/x', '~grace/x'),
        ('c:/', 'C:\'),
        ('C:\', 'C:\'),
        ('c:\Users//ada\\x\', 'C:\Users\ada\x'),
        ('\\server\\share/x', '\\server\share\x'),
        ('~\src\', '~\src'),
        (U&'/e\0301', U&'/\00e9'),
        ('/.git/..x', '/.git/..x'),
        ('/' || repeat('x', 4095), '/' || repeat('x', 4095))
) AS sent (path, wanted);
SELECT throws_ok(
    format('SELECT roost.normalise_path(%L)', bad.path),
    'RO302',
    NULL,
    format('%s is no full path', coalesce(quote_literal(left(bad.path, 20)), 'NULL'))
)
FROM (
    VALUES
        (NULL),
        (''),
        ('a'),
        ('./a'),
        ('../a'),
        ('/a/..'),
        ('/../a'),
        ('/a/./b'),
        ('~/..'),
        ('C:'),
        ('C:x'),
        ('C:\a\..\b'),
        ('\a'),
        ('\\'),
        ('\\\a'),
        (E'/a\nb'),
        (E'/a\x7f'),
        (U&'/a\0085'),
        ('/' || repeat('x', 4096)),
        ('/' || repeat(U&'\00e9', 2048))
) AS bad (path);
-- Longer than what an index takes as it is
SELECT lives_ok(
    pg_temp.asking(
        'ada',
        format(
            'api.create_workspace(''Deep'', %L, id => ''$2'')',
            '/' || (
                SELECT left(string_agg(encode(sha256(n::text::bytea), 'hex'), ''), 4095)
                FROM generate_series(1, 70) AS n
            )
        )
    ),
    'a path may be of 4096 bytes'
);
SELECT lives_ok(
    pg_temp.asking('grace', 'api.create_workspace(''Hers'', ''/home/ada'', id => ''$3'')'),
    'somebody else has a folder of the same path'
);

-- Who is in it
SELECT is(
    pg_temp.ask(
        'ada',
        'to_jsonb(added) - ''joined_at'''
        ' FROM api.add_workspace_member(''$1'', ''$grace'') AS added'
    )::jsonb,
    pg_temp.with_ids(
        '{"workspace_id": "$1", "user_id": "$grace", "role": "viewer", "added_by": "$ada",'
        ' "change_seq": 1, "left_at": null}'
    )::jsonb,
    'whoever is added is a viewer'
);
SELECT is(
    pg_temp.ask('ada', 'role FROM api.add_workspace_member(''$1'', ''$joan'', ''editor'')'),
    'editor',
    'or an editor'
);
SELECT is(
    pg_temp.told('workspace:$1'),
    '1 workspace_member.added grace viewer, 2 workspace_member.added joan editor',
    'those who are in it hear of it'
);
SELECT is(
    pg_temp.told('user:$joan'),
    '1 workspace.added Roost by ada grants 1',
    'and so does the inbox, from the event on that told the others'
);
SELECT is(
    pg_temp.ask(
        listed.person,
        'string_agg(concat(right(user_id::text, 1), '' '', role), '', '' ORDER BY user_id)'
        ' FROM api.list_workspace_members(''$1'')'
    ),
    'a owner, b viewer, c editor',
    listed.person || ' lists who is in it'
)
FROM (VALUES ('ada'), ('grace'), ('joan')) AS listed (person);
SELECT is(
    pg_temp.ask(
        'grace',
        'string_agg(right(user_id::text, 1), '','')'
        ' FROM api.list_workspace_members(''$1'', 1, ''$ada'')'
    ),
    'b',
    'page by page'
);
SELECT is(
    pg_temp.ask(
        listed.person,
        format(
            'string_agg(concat(right(id::text, 1), '' '', role), '', '')'
            ' FROM api.list_workspaces(%s)',
            listed.arguments
        )
    ),
    listed.answer,
    format('%s lists %s: %s', listed.person, listed.arguments, listed.answer)
)
FROM (
    VALUES
        ('ada', '', '2 owner, 1 owner'),
        ('ada', '1', '2 owner'),
        ('ada', '1, ''$2''', '1 owner'),
        ('ada', '1, ''$1''', NULL),
        ('grace', '', '3 owner, 1 viewer'),
        ('joan', '', '1 editor'),
        ('mary', '', NULL)
) AS listed (person, arguments, answer);
SELECT is(
    pg_temp.ask(reader.person, 'role FROM api.get_workspace(''$1'')'),
    reader.role,
    format('%s reads it as %s', reader.person, reader.role)
)
FROM (VALUES ('ada', 'owner'), ('grace', 'viewer'), ('joan', 'editor')) AS reader (person, role);
SELECT is(
    pg_temp.ask('joan', 'change_seq FROM api.get_workspace(''$1'')'),
    '2',
    'a role is a part of what one reads, so its offset counts'
);

-- What each role may not, and what is not there
UPDATE known SET value = pg_temp.state() WHERE name = 'state';
SELECT is(
    pg_temp.ask('ada', 'role FROM api.add_workspace_member(''$1'', ''$joan'', ''editor'')'),
    'editor',
    'adding somebody again changes nothing'
);
SELECT is(
    pg_temp.ask('ada', 'role FROM api.update_workspace_member(''$1'', ''$joan'', ''editor'')'),
    'editor',
    'nor does the role that they have'
);
SELECT is(
    pg_temp.ask(
        'ada', 'name FROM api.update_workspace(''$1'', ''Roost'', ''/home/ada/'', ''{"tab": 4}'')'
    ),
    'Roost',
    'nor what it is already'
);
SELECT throws_ok(
    pg_temp.asking(refused.person, called.call),
    refused.sqlstate,
    NULL,
    format('%s: %s for %s', refused.sqlstate, called.call, refused.person)
)
FROM called
CROSS JOIN (
    VALUES ('grace', 'RO202'), ('joan', 'RO202'), ('mary', 'RO201')
) AS refused (person, sqlstate)
WHERE called.call NOT LIKE '%create_workspace%'
    AND called.call NOT LIKE '%list_workspaces%'
    AND (
        refused.person = 'mary'
        OR called.call ~ '(update_workspace|delete_workspace|_workspace_member)[(]'
    );
SELECT throws_ok(
    pg_temp.asking('ada', refused.call), refused.sqlstate, NULL,
    format('%s: %s', refused.sqlstate, refused.call)
)
FROM (
    VALUES
        ('api.get_workspace(NULL)', 'RO201'),
        ('api.get_workspace(''$9'')', 'RO201'),
        ('api.get_workspace(''$3'')', 'RO201'),
        ('api.delete_workspace(''$3'')', 'RO201'),
        ('api.list_workspaces(0)', 'RO302'),
        ('api.list_workspaces(201)', 'RO302'),
        ('api.list_workspace_members(''$1'', 0)', 'RO302'),
        ('api.update_workspace(''$1'', path => ''x'')', 'RO302'),
        ('api.update_workspace(''$2'', path => ''/home/ada'')', 'RO301'),
        ('api.update_workspace(''$1'', '''')', '23514'),
        ('api.update_workspace(''$1'', settings => ''1'')', '23514'),
        ('api.add_workspace_member(''$1'', NULL)', 'RO201'),
        ('api.add_workspace_member(''$1'', ''$mary'')', 'RO201'),
        ('api.add_workspace_member(''$1'', ''$9'')', 'RO201'),
        ('api.add_workspace_member(''$1'', ''$grace'', NULL)', 'RO302'),
        ('api.add_workspace_member(''$1'', ''$grace'', ''owner'')', 'RO302'),
        ('api.add_workspace_member(''$1'', ''$grace'', ''editor'')', 'RO301'),
        ('api.add_workspace_member(''$1'', ''$ada'')', 'RO301'),
        ('api.update_workspace_member(''$1'', ''$mary'', ''editor'')', 'RO201'),
        ('api.update_workspace_member(''$1'', ''$grace'', ''owner'')', 'RO302'),
        ('api.update_workspace_member(''$1'', ''$grace'', NULL)', 'RO302'),
        ('api.update_workspace_member(''$1'', ''$ada'', ''viewer'')', 'RO204'),
        ('api.remove_workspace_member(''$1'', ''$mary'')', 'RO201'),
        ('api.remove_workspace_member(''$1'', NULL)', 'RO201'),
        ('api.remove_workspace_member(''$1'', ''$ada'')', 'RO204'),
        ('api.leave_workspace(''$1'')', 'RO204')
) AS refused (call, sqlstate);
SELECT is(
    pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'all is as it was'
);

-- Opening it: by everybody who reads it, once a minute, and no change
SELECT is(
    pg_temp.ask('grace', 'last_accessed = now() FROM api.touch_workspace(''$1'') AS last_accessed'),
    'true',
    'who opens it is answered when it was opened'
);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'not twice a minute');
UPDATE roost.workspaces SET last_accessed = now() - interval '1 minute';
SELECT is(
    pg_temp.ask('joan', 'last_accessed = now() FROM api.touch_workspace(''$1'') AS last_accessed'),
    'true',
    'a minute later it is written'
);
SELECT is(
    (SELECT array_agg(right(id::text, 1)) FROM roost.workspaces WHERE last_accessed = now()),
    ARRAY['1'],
    'of this one alone'
);
UPDATE roost.workspaces SET last_accessed = now();
SELECT is(
    pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nobody is told of it'
);

-- Changing it
UPDATE roost.workspaces SET updated_at = now() - interval '1 day';
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', name, path, settings, change_seq, updated_at = now())'
        ' FROM api.update_workspace(''$1'', ''Nest'', ''C:/nest/'', ''{"tab": null, "a": 1}'')'
    ),
    E'Nest C:\\nest {"a": 1} 3 t',
    'name, path, and settings key by key'
);
SELECT is(
    pg_temp.ask('ada', 'name FROM api.update_workspace(''$1'', settings => ''{"b": 2}'')'),
    'Nest',
    'what is left out stays'
);
SELECT is(
    pg_temp.ask('grace', 'concat_ws('' '', settings, change_seq) FROM api.get_workspace(''$1'')'),
    '{"a": 1, "b": 2} 4',
    'for others, too'
);
SELECT is(
    (
        SELECT event.payload::jsonb - ARRAY['created_at', 'updated_at']
        FROM realtime.events AS event
        WHERE event.topic = pg_temp.with_ids('workspace:$1') AND event.event_offset = 4
    ),
    pg_temp.with_ids(
        '{"id": "$1", "user_id": "$ada", "name": "Nest", "path": "C:\\nest", "change_seq": 4,'
        ' "settings": {"a": 1, "b": 2}}'
    )::jsonb,
    'workspace.updated has what is the same for everybody, and its own offset'
);
SELECT is(
    pg_temp.ask(
        'ada', 'change_seq FROM api.update_workspace_member(''$1'', ''$grace'', ''editor'')'
    ),
    '5',
    'another role'
);

-- Topics
SELECT is(
    as_caller(
        'roost_api', (SELECT id FROM person WHERE name = listener.person),
        pg_temp.with_ids(format(
            'SELECT concat_ws('' '', realtime.can_join(%1$L), realtime.can_broadcast(%1$L))',
            listener.topic
        ))
    ),
    listener.answer,
    format('%s in %s: %s', listener.person, listener.topic, listener.answer)
)
FROM (
    VALUES
        ('ada', 'workspace:$1', 't t'),
        ('grace', 'workspace:$1', 't t'),
        ('joan', 'workspace:$1', 't t'),
        ('mary', 'workspace:$1', 'f f'),
        ('nobody', 'workspace:$1', 'f f'),
        ('ada', 'workspace:$3', 'f f'),
        ('ada', 'workspace:', 'f f'),
        ('ada', 'workspace:x', 'f f')
) AS listener (person, topic, answer);
SELECT ok(
    realtime.is_reserved_event('workspace:x', reserved.event) = reserved.is_so,
    format('%s is reserved: %s', reserved.event, reserved.is_so)
)
FROM (
    VALUES
        ('workspace.updated', true),
        ('workspace_member.added', true),
        ('workspace', false),
        ('workspaces.x', false)
) AS reserved (event, is_so);
SELECT is(
    (
        SELECT string_agg(
            concat_ws(
                ' ', right(heard.topic, 1), heard.last_offset, heard.visible_after,
                heard.replay_after, heard.is_gone
            ),
            ', ' ORDER BY heard.topic
        )
        FROM realtime.list_inner_topics(
            pg_temp.with_ids('user:$ada'), 0,
            jsonb_build_object(pg_temp.with_ids('workspace:$1'), 2), NULL
        ) AS heard
    ),
    '1 5 0 2 f, 2 0 0 0 f',
    'what is heard in an inbox, from where it was heard last or granted'
);

-- Going, and coming back
SELECT is(
    pg_temp.ask(
        'grace', 'concat_ws('' '', change_seq, left_at = now()) FROM api.leave_workspace(''$1'')'
    ),
    '6 t',
    'a member leaves'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', change_seq, left_at = now())'
        ' FROM api.remove_workspace_member(''$1'', ''$joan'')'
    ),
    '7 t',
    'a member is removed'
);
SELECT throws_ok(
    pg_temp.asking(gone.person, call.call), 'RO201', NULL,
    format('%s is out: %s', gone.person, call.call)
)
FROM (VALUES ('grace'), ('joan')) AS gone (person)
CROSS JOIN (
    VALUES
        ('api.get_workspace(''$1'')'),
        ('api.touch_workspace(''$1'')'),
        ('api.leave_workspace(''$1'')'),
        ('api.list_workspace_members(''$1'')')
) AS call (call);
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', role, change_seq, left_at)'
        ' FROM api.add_workspace_member(''$1'', ''$grace'', ''viewer'')'
    ),
    'viewer 8',
    'whoever has left can be added again, in another role'
);
SELECT is(
    pg_temp.told('user:$grace'),
    '1 workspace.added Hers by grace grants 0, 2 workspace.added Roost by ada grants 0,'
    ' 3 workspace.removed, 4 workspace.added Nest by ada grants 7',
    'the inbox has all of it'
);

-- What devices are told, and compare
SELECT is(
    as_caller(
        'roost_api',
        (SELECT id FROM person WHERE name = 'ada'),
        pg_temp.with_ids(format(
            'SELECT string_agg('
            'concat_ws('' '', kind, op, right(id::text, 1), change_offset), '', '''
            ' ORDER BY change_offset, kind)'
            ' FROM roost.read_scope_changes(''workspace:$1'', %s, 1, 0, %s, 4096)',
            asked.after, asked.number
        ))
    ),
    asked.answer,
    format('behind %s, %s at most: %s', asked.after, asked.number, asked.answer)
)
FROM (
    VALUES
        (-1, 10, 'workspace_member put a 0, workspace_member put b 8'),
        (0, 10, 'workspace put 1 4, workspace_member remove c 7, workspace_member put b 8'),
        (0, 1, 'workspace put 1 4'),
        (4, 1, 'workspace_member remove c 7'),
        (8, 10, NULL)
) AS asked (after, number, answer);
SELECT is(
    pg_temp.ask(
        'ada',
        format(
            'concat_ws('' '', is_same, differing, changed) FROM api.verify_scope(''workspace:$1'','
            ' %s, 1, %L)',
            compared.place, compared.buckets
        )
    ),
    compared.answer,
    format('compared at %s: %s', compared.place, compared.answer)
)
FROM (
    SELECT
        8 AS place,
        jsonb_build_object(
            'others',
            jsonb_build_array(
                3,
                (
                    roost.thing_checksum('workspace', pg_temp.with_ids('$1')::uuid, 4)
                    + roost.thing_checksum(
                        'workspace_member', pg_temp.with_ids('$ada')::uuid, 0
                    )
                    + roost.thing_checksum(
                        'workspace_member', pg_temp.with_ids('$grace')::uuid, 8
                    )
                ) % 4294967296
            )
        ) AS buckets,
        't {} {}' AS answer
    UNION ALL
    SELECT 8, '{"others": [3, 1]}', 'f {others} {}'
    UNION ALL
    SELECT 7, '{"others": [3, 1]}', 'f {} {others}'
) AS compared;

-- Operations
SELECT is(
    pg_temp.ask(
        'ada',
        format(
            'string_agg(concat_ws('' '', id, outcome, code, result ->> ''workspace_id''), '','')'
            ' FROM api.push_operations(%L)',
            $json$[
                {"id": 1, "kind": "create_workspace",
                 "args": {"id": "$4", "name": "Off", "path": "~/off"}},
                {"id": 2, "kind": "update_workspace", "base": {"name": "Off"},
                 "args": {"workspace_id": "$4", "name": "On", "settings": {"a": 1}}},
                {"id": 3, "kind": "touch_workspace", "args": {"workspace_id": "$4"}},
                {"id": 4, "kind": "add_workspace_member",
                 "args": {"workspace_id": "$4", "user_id": "$grace"}},
                {"id": 5, "kind": "update_workspace_member",
                 "args": {"workspace_id": "$4", "user_id": "$grace", "role": "editor"}},
                {"id": 6, "kind": "remove_workspace_member",
                 "args": {"workspace_id": "$4", "user_id": "$grace"}},
                {"id": 7, "kind": "leave_workspace", "args": {"workspace_id": "$4"}},
                {"id": 8, "kind": "update_workspace", "base": {"name": "Off"},
                 "args": {"workspace_id": "$4", "name": "Over"}},
                {"id": 9, "kind": "update_workspace", "base": {"name": "Off"},
                 "args": {"workspace_id": "$4", "name": "Mine"}, "policy": "client_wins"},
                {"id": 10, "kind": "update_workspace", "base": {"name": "Off"},
                 "args": {"workspace_id": "$4", "name": "x"}, "policy": "server_wins"}
            ]$json$
        )
    ),
    pg_temp.with_ids(
        '1 applied,2 applied,3 applied,4 applied $4,5 applied $4,6 applied $4,7 rejected RO204,'
        '8 conflict RO303,9 applied,10 rejected RO303'
    ),
    'operations of a device that was offline'
);
SELECT is(
    pg_temp.ask('ada', 'concat_ws('' '', name, settings) FROM api.get_workspace(''$4'')'),
    'Mine {"a": 1}',
    'are done as they say'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'string_agg(concat_ws('' '', kind, target_kind, state), '','' ORDER BY id)'
        ' FROM api.list_conflicts(NULL)'
    ),
    'update_workspace workspace open,update_workspace workspace resolved',
    'or meet a conflict'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'state FROM api.resolve_conflict((SELECT id FROM api.list_conflicts() AS listed'
        ' WHERE listed.state = ''open''), ''merged'', ''{"name": "Both"}'')'
    ),
    'resolved',
    'which is decided'
);
SELECT is(
    pg_temp.ask('ada', 'name FROM api.get_workspace(''$4'')'), 'Both', 'as somebody says'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'string_agg(concat_ws('' '', outcome, first_outcome), '','') FROM api.push_operations('
        '''[{"id": 4, "kind": "add_workspace_member",'
        ' "args": {"workspace_id": "$4", "user_id": "$grace"}}]'')'
    ),
    'duplicate applied',
    'one that is sent again is not done again'
);

-- Deleting it
SELECT is(
    pg_temp.ask(
        'ada',
        'string_agg(concat_ws('' '', outcome, code), '','') FROM api.push_operations('
        '''[{"id": 11, "kind": "delete_workspace", "args": {"workspace_id": "$4"}},'
        ' {"id": 12, "kind": "delete_workspace", "args": {"workspace_id": "$4"}}]'')'
    ),
    'applied,rejected RO201',
    'offline, too'
);
SELECT is(
    (SELECT count(*) FROM roost.sync_conflicts), 0::bigint, 'conflicts about it go with it'
);
SELECT is(
    pg_temp.ask('ada', 'concat_ws('' '', name, change_seq) FROM api.delete_workspace(''$1'')'),
    'Nest 9',
    'it is answered as it was'
);
SELECT is(
    pg_temp.told('workspace:$1'),
    '1 workspace_member.added grace viewer, 2 workspace_member.added joan editor,'
    ' 3 workspace.updated Nest, 4 workspace.updated Nest,'
    ' 5 workspace_member.updated grace editor,'
    ' 6 workspace_member.removed grace editor ends grace,'
    ' 7 workspace_member.removed joan editor ends joan,'
    ' 8 workspace_member.added grace viewer, 9 workspace.deleted Nest ends everybody',
    'everybody''s right ends with it'
);
SELECT is(
    (
        SELECT array_agg(person.name ORDER BY person.name)
        FROM realtime.events AS event
        JOIN person ON event.topic = 'user:' || person.id::text
        WHERE event.event = 'workspace.removed'
            AND event.payload ->> 'workspace_id' = pg_temp.with_ids('$1')
            AND event.event_offset = realtime.last_offset(event.topic)
    ),
    ARRAY['ada', 'grace', 'joan'],
    'and all of their inboxes have it'
);
SELECT is(
    (
        SELECT concat_ws(
            ' ',
            (
                SELECT count(*) FROM roost.workspaces
                WHERE id = pg_temp.with_ids('$1')::uuid AND deleted_at IS NULL
            ),
            (
                SELECT count(*) FROM roost.workspace_members
                WHERE workspace_id = pg_temp.with_ids('$1')::uuid
            )
        )
    ),
    '0 0',
    'nothing is left of it'
);
SELECT throws_ok(
    pg_temp.asking('ada', gone.call), gone.sqlstate, NULL,
    format('%s: %s', gone.sqlstate, gone.call)
)
FROM (
    VALUES
        ('api.get_workspace(''$1'')', 'RO201'),
        ('api.delete_workspace(''$1'')', 'RO201'),
        ('api.add_workspace_member(''$1'', ''$joan'')', 'RO201'),
        ('api.create_workspace(''x'', ''/x'', id => ''$1'')', 'RO301')
) AS gone (call, sqlstate);
SELECT lives_ok(
    pg_temp.asking('ada', 'api.create_workspace(''Again'', ''C:\nest'', id => ''$5'')'),
    'its path is free again'
);

SELECT * FROM finish();

ROLLBACK;

-- Files of workspaces: paths, each function with each kind of caller, each role and each refusal,
-- conflicts, and what a device is told to do. Who waits for whom is for tests/test_files.py.
BEGIN;

SELECT plan(434);

CREATE TEMPORARY TABLE person (name text PRIMARY KEY, id uuid);
INSERT INTO person
SELECT name, ('00000000-0000-7000-8000-00000000000' || letter)::uuid
FROM (VALUES ('ada', 'a'), ('grace', 'b'), ('joan', 'c'), ('mary', 'd')) AS listed (name, letter);
SELECT make_user(id, name || '@example.com') FROM person;
INSERT INTO person VALUES ('nobody', NULL);
SELECT make_session(
    person.id, '00000000-0000-7000-8000-0000000000da', '00000000-0000-7000-8000-0000000000ea'
)
FROM person
WHERE person.name = 'ada';
UPDATE roost.devices SET device_name = 'Ada''s / lap' || chr(9) || 'top';
SELECT make_session(
    person.id, '00000000-0000-7000-8000-0000000000db', '00000000-0000-7000-8000-0000000000eb'
)
FROM person
WHERE person.name = 'grace';
SELECT set_config('roost.gateway', 'on', true);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000da', true);

-- Ada owns a workspace, grace edits in it, joan reads; mary is in another.
INSERT INTO roost.workspaces (id, user_id, name, path)
VALUES
('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'A', '/a'),
('00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000d', 'D', '/d');
INSERT INTO roost.workspace_members (workspace_id, user_id, role)
SELECT
    ('00000000-0000-7000-9000-00000000000' || workspace)::uuid, person.id,
    role::roost.workspace_role
FROM (
    VALUES
        ('1', 'ada', 'owner'), ('1', 'grace', 'editor'), ('1', 'joan', 'viewer'),
        ('2', 'mary', 'owner')
) AS member (workspace, name, role)
JOIN person ON person.name = member.name;

CREATE TEMPORARY TABLE known (name text PRIMARY KEY, value text);
CREATE TEMPORARY TABLE content (name text PRIMARY KEY, hash text, bytes bytea);
INSERT INTO content
SELECT listed.name, encode(sha256(listed.bytes), 'hex'), listed.bytes
FROM (
    VALUES
        ('one', convert_to(E'a\nb\nc\nd\ne\n', 'UTF8')),
        ('top', convert_to(E'A\nb\nc\nd\ne\n', 'UTF8')),
        ('end', convert_to(E'a\nb\nc\nd\nE\n', 'UTF8')),
        ('both', convert_to(E'A\nb\nc\nd\nE\n', 'UTF8')),
        ('other', convert_to(E'X\nb\nc\nd\ne\n', 'UTF8')),
        ('binary', '\xff00fe'::bytea),
        ('binary2', '\xff00fd'::bytea),
        ('binary3', '\xff00fc'::bytea),
        ('empty', ''::bytea)
) AS listed (name, bytes);
SELECT roost.store_content('00000000-0000-7000-9000-000000000001', content.bytes)
FROM content
WHERE content.name <> 'both';

-- $1 and $2 are ids of workspaces, #name is a hash, @path the id of what is at a path.
CREATE FUNCTION pg_temp.at(p_path text)
RETURNS uuid
LANGUAGE sql
AS $$
    SELECT walked.id
    FROM (
        SELECT file.id, roost.file_path(file.id) AS path FROM roost.file_sync_state AS file
    ) AS walked
    WHERE walked.path = p_path;
$$;
CREATE FUNCTION pg_temp.with_ids(p_text text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_text text := regexp_replace(
        p_text, '\$([0-9])', '00000000-0000-7000-9000-00000000000\1', 'g'
    );
    v_found record;
BEGIN
    FOR v_found IN SELECT content.* FROM content ORDER BY char_length(content.name) DESC LOOP
        v_text := replace(v_text, '#' || v_found.name, v_found.hash);
    END LOOP;
    FOR v_found IN SELECT known.* FROM known ORDER BY char_length(known.name) DESC LOOP
        v_text := replace(v_text, '%' || v_found.name, v_found.value);
    END LOOP;
    FOR v_found IN
        SELECT matched.path[1] AS path
        FROM regexp_matches(v_text, '@([a-zA-Z0-9_./-]+)', 'g') AS matched (path)
        ORDER BY char_length(matched.path[1]) DESC
    LOOP
        v_text := replace(
            v_text, '@' || v_found.path,
            coalesce(pg_temp.at(v_found.path)::text, '00000000-0000-7000-9000-0000000000ff')
        );
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
    SELECT set_config(
        'roost.device_id',
        CASE p_person
            WHEN 'ada' THEN '00000000-0000-7000-8000-0000000000da'
            WHEN 'grace' THEN '00000000-0000-7000-8000-0000000000db'
            ELSE ''
        END,
        true
    );
    SELECT as_caller('roost_user', person.id, 'SELECT ' || pg_temp.with_ids(p_query))
    FROM person WHERE person.name = p_person;
$$;
CREATE FUNCTION pg_temp.put(p_person text, p_path text, p_content text, p_more text DEFAULT '')
RETURNS text
LANGUAGE sql
AS $$
    SELECT pg_temp.ask(
        p_person,
        format(
            'concat(outcome, '' '', file ->> ''version'') FROM api.put_file_state'
            '(''$1'', %L, ''#%s''%s)', p_path, p_content, p_more
        )
    );
$$;
CREATE FUNCTION pg_temp.tree()
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat(
            walked.path, CASE (walked.file).kind WHEN 'folder' THEN '/' END,
            ' ' || nullif((walked.file).version, 1)
        ),
        ', '
    )
    FROM roost.walk_files('00000000-0000-7000-9000-000000000001', ARRAY[''], NULL, NULL, 1000)
        AS walked;
$$;
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(file ORDER BY id) FROM roost.file_sync_state AS file),
        (SELECT json_agg(old ORDER BY file_id, version) FROM roost.file_versions AS old),
        (SELECT json_agg(conflict ORDER BY id) FROM roost.sync_conflicts AS conflict),
        (SELECT json_agg(event ORDER BY topic, event_offset) FROM realtime.events AS event),
        (SELECT json_agg(topic ORDER BY topic) FROM realtime.topics AS topic)
    );
$$;
-- What was told of the workspace behind an offset.
CREATE FUNCTION pg_temp.told(p_after bigint DEFAULT 0)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat_ws(' ', event.event, event.payload ->> 'path', event.payload ->> 'from_path'),
        ', ' ORDER BY event.event_offset
    )
    FROM realtime.events AS event
    WHERE event.topic = 'workspace:00000000-0000-7000-9000-000000000001'
        AND event.event_offset > p_after;
$$;

-- Who may call
CREATE TEMPORARY TABLE called (call text, changes boolean);
INSERT INTO called
VALUES
('api.put_file_state(''$1'', ''x'', ''#one'')', true),
('api.put_file_states(''$1'', ''[]'')', true),
('api.make_folder(''$1'', ''x'')', true),
('api.get_file(''@a.txt'')', false),
('api.get_file(workspace_id => ''$1'', path => ''a.txt'')', false),
('api.list_files(''$1'')', false),
('api.move_file(''@a.txt'', ''x'')', true),
('api.copy_file(''@a.txt'', ''x'')', true),
('api.delete_file(''@a.txt'')', true),
('api.restore_file(''@a.txt'')', true),
('api.list_file_versions(''@a.txt'')', false),
('api.restore_file_version(''@a.txt'', 1)', true),
('api.compare_file_versions(''@a.txt'', 1, 1)', false),
('api.verify_file(''@a.txt'')', false),
('api.diff_workspace(''$1'', ''[]'', is_last => true)', false);
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
        ('roost.put_file(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)'),
        ('roost.has_open_conflict(NULL)'),
        ('roost.note_damage(NULL, NULL, NULL, NULL)'),
        ('roost.publish_file(NULL, ''x'', NULL)'),
        ('roost.require_content(NULL, NULL)'),
        ('roost.settle_file_status(NULL, NULL)'),
        ('roost.mark_workspace_deleted(NULL)'),
        ('roost.walk_files(NULL, NULL, NULL, NULL, 1)')
) AS inner_call (call)
CROSS JOIN (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')
) AS caller (role);
SELECT is((SELECT count(*) FROM roost.file_sync_state), 0::bigint, 'nothing came of that');

-- Paths
SELECT is(
    roost.split_file_path(sent.path)::text, sent.wanted::text[]::text,
    format('%s is a path', left(sent.path, 40))
)
FROM (
    VALUES
        ('a', '{a}'),
        ('a/b.txt', '{a,b.txt}'),
        (U&'u\0308', U&'{\00FC}'),
        ('.gitignore', '{.gitignore}'),
        ('console', '{console}'),
        ('com10.txt', '{com10.txt}'),
        ('...a', '{...a}'),
        ('a:b', '{a:b}'),
        (repeat('x', 255), format('{%s}', repeat('x', 255))),
        (
            rtrim(repeat('a/', 65), '/'),
            array_to_string(ARRAY['{', rtrim(repeat('a,', 65), ','), '}'], '')
        )
) AS sent (path, wanted);
SELECT throws_ok(
    format('SELECT roost.split_file_path(%L)', sent.path), 'RO302', sent.message,
    format('%s is none', left(sent.path, 40))
)
FROM (
    VALUES
        (NULL, 'There is no path.'),
        ('', 'There is no path.'),
        ('/a', 'The path is absolute.'),
        ('C:\a', 'The path is absolute.'),
        ('c:/a', 'The path is absolute.'),
        ('\\server\a', 'The path is absolute.'),
        ('a\b', 'The path has a backslash.'),
        ('a//b', 'The path has an empty part.'),
        ('a/', 'The path has an empty part.'),
        ('a/./b', 'The path has . or .. in it.'),
        ('../a', 'The path has . or .. in it.'),
        ('a' || chr(9), 'The path has a control character.'),
        ('a' || chr(127), 'The path has a control character.'),
        ('a' || chr(133), 'The path has a control character.'),
        (repeat('x', 256), 'A name is too long.'),
        (repeat('ü', 128), 'A name is too long.'),
        (repeat('x', 4097), 'The path is too long.'),
        (repeat(repeat('x', 255) || '/', 15) || 'a/b', 'The path of the folder is too long.'),
        (rtrim(repeat('a/', 66), '/'), 'The path is too deep.'),
        ('a./b', 'A name ends with a dot or a space.'),
        ('a ', 'A name ends with a dot or a space.'),
        ('CON', 'A name is reserved on Windows.'),
        ('a/nul.txt', 'A name is reserved on Windows.'),
        ('Com1', 'A name is reserved on Windows.'),
        ('lpt¹.tar.gz', 'A name is reserved on Windows.')
) AS sent (path, message);
SELECT is(
    (SELECT count(*) FROM roost.check_file_path('..') AS checked WHERE checked.o_cure IS NOT NULL),
    1::bigint,
    'what is none is told with a cure'
);

-- Putting
SELECT is(pg_temp.put('ada', 'a.txt', 'one', ', base_version => 0'), 'created 1', 'ada makes one');
SELECT is(pg_temp.told(), 'file.created a.txt', 'everybody hears of it');
SELECT is(
    pg_temp.ask(
        'joan',
        'to_jsonb(found) - ARRAY[''id'', ''created_at'', ''updated_at''] FROM'
        ' api.get_file(workspace_id => ''$1'', path => ''a.txt'') AS found'
    )::jsonb,
    pg_temp.with_ids(
        '{"workspace_id": "$1", "parent_id": null, "kind": "file", "name": "a.txt",'
        ' "path": "a.txt", "hash": "#one", "size": 10, "media_type": null, "modified_at": null,'
        ' "version": 1, "sync_status": "synced", "metadata": {}, "change_seq": 1,'
        ' "deleted_at": null, "created_by": "00000000-0000-7000-8000-00000000000a",'
        ' "updated_by": "00000000-0000-7000-8000-00000000000a"}'
    )::jsonb,
    'joan reads it'
);
INSERT INTO known SELECT 'state', pg_temp.state();
SELECT throws_ok(
    pg_temp.asking('joan', called.call), 'RO202', NULL, format('joan may not %s', called.call)
)
FROM called
WHERE called.changes;
SELECT lives_ok(pg_temp.asking('joan', called.call), format('joan may %s', called.call))
FROM called
WHERE NOT called.changes;
SELECT throws_ok(
    pg_temp.asking('mary', called.call), 'RO201', NULL, format('mary may not %s', called.call)
)
FROM called;
SELECT throws_ok(
    pg_temp.asking(refused.person, refused.call),
    refused.sqlstate,
    NULL,
    format('refused, %s: %s', refused.person, refused.call)
)
FROM (
    VALUES
        ('ada', 'api.put_file_state(''$1'', ''x'', ''#both'')', 'RO311'),
        ('ada', 'api.put_file_state(''$1'', ''x'', ''#one'', 11)', 'RO311'),
        ('ada', 'api.put_file_state(''$1'', ''x'', ''abc'')', 'RO302'),
        ('ada', 'api.put_file_state(''$1'', ''x'', NULL)', 'RO302'),
        ('ada', 'api.put_file_state(''$1'', ''../x'', ''#one'')', 'RO302'),
        ('ada', 'api.put_file_state(''$1'', ''A.txt'', ''#one'')', 'RO310'),
        ('ada', 'api.put_file_state(''$1'', ''a.txt/x'', ''#one'')', 'RO301'),
        ('ada', 'api.put_file_state(''$1'', ''A.TXT/x'', ''#one'')', 'RO310'),
        ('ada', 'api.put_file_state(''$1'', ''x'', ''#one'', base_version => -1)', 'RO302'),
        ('ada', 'api.put_file_state(''$1'', ''x'', ''#one'', conflict_policy => ''x'')', 'RO302'),
        ('ada', 'api.put_file_state(''$1'', ''x'', ''#one'', media_type => '''')', '23514'),
        ('ada', 'api.put_file_state(''$1'', ''x'', ''#one'', metadata => ''[]'')', '23514'),
        ('ada', 'api.put_file_state(''$2'', ''x'', ''#one'')', 'RO201'),
        ('ada', 'api.verify_file(''@a.txt'', 9)', 'RO201'),
        ('ada', 'api.verify_file(''@a.txt'', from_byte => 11)', 'RO302'),
        ('ada', 'api.verify_file(''@a.txt'', from_byte => -1)', 'RO302'),
        ('ada', 'api.verify_file(''@a.txt'', from_byte => NULL)', 'RO302'),
        ('ada', 'api.verify_file(NULL)', 'RO201'),
        ('ada', 'api.verify_file(''@src'')', 'RO201'),
        ('mary', 'api.verify_file(''@a.txt'')', 'RO201'),
        ('ada', 'api.put_file_states(''$1'', ''{}'')', 'RO302'),
        ('ada', 'api.put_file_states(''$1'', ''[1]'')', 'RO302'),
        ('ada', 'api.put_file_states(''$1'', NULL)', 'RO302'),
        ('ada', 'api.make_folder(''$1'', ''a.txt'')', 'RO301'),
        ('ada', 'api.get_file()', 'RO302'),
        ('ada', 'api.get_file(''@a.txt'', ''$1'', ''a.txt'')', 'RO302'),
        ('ada', 'api.get_file(workspace_id => ''$1'', path => ''none'')', 'RO201'),
        ('ada', 'api.get_file(''$1'')', 'RO201'),
        ('ada', 'api.list_files(''$1'', page_size => 0)', 'RO302'),
        ('ada', 'api.list_files(''$1'', '''', '''')', 'RO302'),
        ('ada', 'api.list_files(''$1'', prefix => '''', include_deleted => true)', 'RO302'),
        ('ada', 'api.list_files(''$1'', changed_since => 0, after => ''x'')', 'RO302'),
        ('ada', 'api.list_files(''$1'', ''none'')', 'RO201'),
        ('ada', 'api.list_files(''$1'', ''a.txt'')', 'RO201'),
        ('ada', 'api.move_file(''@a.txt'')', 'RO302'),
        ('ada', 'api.move_file(''@a.txt'', ''x'', name => ''y'')', 'RO302'),
        ('ada', 'api.move_file(''@a.txt'', name => ''x/y'')', 'RO302'),
        ('ada', 'api.move_file(''@a.txt'', folder_id => ''@a.txt'')', 'RO302'),
        ('ada', 'api.move_file(''@a.txt'', ''a.txt/b'')', 'RO302'),
        ('ada', 'api.copy_file(''@a.txt'', ''a.txt'')', 'RO301'),
        ('ada', 'api.copy_file(''@a.txt'', ''A.txt'')', 'RO310'),
        ('ada', 'api.list_file_versions(''@a.txt'', 0)', 'RO302'),
        ('ada', 'api.restore_file_version(''@a.txt'', 2)', 'RO201'),
        ('ada', 'api.compare_file_versions(''@a.txt'', 1, NULL)', 'RO201'),
        ('ada', 'api.diff_workspace(''$1'', ''{}'')', 'RO302'),
        ('ada', 'api.diff_workspace(''$1'', ''[1]'')', 'RO302'),
        ('ada', 'api.diff_workspace(''$1'', ''[["a", "x"]]'')', 'RO302'),
        ('ada', 'api.diff_workspace(''$1'', ''[]'')', 'RO302'),
        ('ada', 'api.diff_workspace(''$1'', ''[["a", "#one"]]'', ''b'')', 'RO302'),
        ('ada', 'api.diff_workspace(''$1'', ''[]'', is_last => NULL)', 'RO302')
) AS refused (person, call, sqlstate);
SELECT is(pg_temp.state(), (SELECT value FROM known WHERE name = 'state'), 'nothing came of that');

SELECT is(pg_temp.put('ada', 'a.txt', 'one'), 'unchanged 1', 'the same again is no change');
SELECT is(pg_temp.put('grace', 'src/lib/b.bin', 'binary'), 'created 1', 'grace makes folders too');
SELECT is(
    pg_temp.told(1), 'file.created src, file.created src/lib, file.created src/lib/b.bin',
    'which are told one by one'
);
SELECT throws_ok(
    pg_temp.asking('ada', 'api.put_file_state(''$1'', ''src'', ''#one'')'), 'RO301', NULL,
    'a folder is no file'
);
SELECT throws_ok(
    pg_temp.asking('ada', 'api.make_folder(''$1'', ''SRC/x'')'), 'RO310', NULL,
    'nor are capitals another name'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.make_folder(''$1'', ''src/lib'')'), 'src/lib',
    'a folder that is there is answered'
);

-- What others have made of it meanwhile
SELECT is(pg_temp.put('ada', 'a.txt', 'top', ', base_version => 1'), 'updated 2', 'an edit');
SELECT is(
    pg_temp.put('grace', 'a.txt', 'end', ', base_version => 1'), 'merged 3',
    'an edit of other lines is merged with it'
);
SELECT is(
    pg_temp.ask('ada', 'hash FROM api.get_file(''@a.txt'')'),
    (SELECT hash FROM content WHERE name = 'both'),
    'so that both are in it'
);
SELECT is(
    pg_temp.put('grace', 'a.txt', 'end', ', base_version => 1'), 'merged 3',
    'sent again it adds nothing'
);
INSERT INTO known SELECT 'offset', realtime.last_offset('workspace:' || pg_temp.with_ids('$1'));
SELECT throws_ok(
    pg_temp.asking(
        'grace',
        'api.put_file_state(''$1'', ''a.txt'', ''#other'', base_version => 1,'
        ' conflict_policy => ''server_wins'')'
    ),
    'RO303', NULL, 'where the server wins it is refused'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', outcome, file ->> ''version'', file ->> ''sync_status'','
        ' regexp_replace(copy ->> ''path'', ''[0-9-]{10} [0-9]{4}'', ''TIME''), copy ->> ''hash'' ='
        ' ''#other'', conflict_id IS NOT NULL)'
        ' FROM api.put_file_state(''$1'', ''a.txt'', ''#other'', base_version => 1)'
    ),
    'conflict 3 conflict a (conflict Ada''s lap top TIME).txt t t',
    'an edit of the same lines is kept beside it'
);
INSERT INTO known
SELECT 'conflict', conflict.id::text FROM roost.sync_conflicts AS conflict;
SELECT is(
    regexp_replace(
        pg_temp.told((SELECT value::bigint FROM known WHERE name = 'offset')),
        '[0-9-]{10} [0-9]{4}',
        'TIME'
    ),
    'file.created a (conflict Ada''s lap top TIME).txt, file.conflict a.txt',
    'which is told'
);
SELECT is(
    pg_temp.ask(
        'ada', 'concat(outcome, '' '', conflict_id = ''%conflict'', '' '', copy IS NOT NULL) FROM'
        ' api.put_file_state(''$1'', ''a.txt'', ''#other'', base_version => 1)'
    ),
    'conflict t t',
    'sent again it is the same'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', target_kind, state, base ->> ''version'', theirs ->> ''version'','
        ' jsonb_array_length(hunks), operation_id) FROM api.get_conflict(''%conflict'')'
    ),
    'file open 1 3 1',
    'the conflict says what collides'
);
SELECT is(
    (
        SELECT string_agg(DISTINCT event.event, ', ')
        FROM realtime.events AS event
        WHERE event.topic = 'user:00000000-0000-7000-8000-00000000000a'
            AND event.event LIKE 'conflict.%'
    ),
    'conflict.opened',
    'the person''s devices hear of it'
);
SELECT is(
    pg_temp.put('grace', 'a.txt', 'empty', ', base_version => 2, conflict_policy => ''manual'''),
    'conflict 3', 'by hand nothing is merged'
);
SELECT is(
    pg_temp.ask(
        'grace', 'string_agg(target_kind || '' '' || state, '', '') FROM api.list_conflicts()'
    ),
    'file open', 'grace has one of her own'
);
-- Deciding
SELECT throws_ok(
    pg_temp.asking('ada', refused.call), refused.sqlstate, NULL, format('refused: %s', refused.call)
)
FROM (
    VALUES
        ('api.resolve_conflict(''%conflict'', ''merged'', ''{"text": "x"}'')', 'RO302'),
        ('api.resolve_conflict(''%conflict'', ''merged'', ''{"hash": "x"}'')', 'RO302')
) AS refused (call, sqlstate);
SELECT is(
    pg_temp.ask('ada', 'state FROM api.resolve_conflict(''%conflict'', ''mine'')'), 'resolved',
    'ada''s own is put in place'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', version, sync_status, hash = ''#other'') FROM api.get_file(''@a.txt'')'
    ),
    '4 conflict t',
    'as a new version; grace''s is open'
);
SELECT is(
    pg_temp.ask(
        'grace',
        'state FROM api.resolve_conflict((SELECT id FROM api.list_conflicts()), ''theirs'')'
    ),
    'resolved',
    'grace leaves it'
);
SELECT is(
    pg_temp.ask('ada', 'concat_ws('' '', version, sync_status) FROM api.get_file(''@a.txt'')'),
    '4 synced', 'then it is in step'
);
SELECT is(pg_temp.tree(), 'a.txt 4, src/, src/lib/, src/lib/b.bin', 'and the copies are gone');
SELECT is(
    pg_temp.put(
        'ada', 'src/lib/b.bin', 'binary2', ', base_version => 0, conflict_policy => ''client_wins'''
    ),
    'updated 2', 'where the client wins it overwrites'
);
SELECT is(
    pg_temp.ask(
        'ada', 'concat_ws('' '', state, strategy)'
        ' FROM api.list_conflicts(NULL) AS listed'
        ' ORDER BY listed.id DESC LIMIT 1'
    ),
    'resolved mine', 'which is kept as decided'
);
SELECT is(
    pg_temp.put(
        'ada', 'src/lib/b.bin', 'binary', ', base_version => 1, conflict_policy =>'
        ' ''last_write_wins'''
    ),
    'updated 3', 'the last write may win'
);
SELECT is(
    pg_temp.put('ada', 'src/lib/b.bin', 'binary3', ', base_version => 2'), 'conflict 3',
    'what is no text is not merged'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'state FROM api.resolve_conflict((SELECT id FROM api.list_conflicts()), ''merged'','
        ' ''{"hash": "#empty"}'')'
    ),
    'resolved', 'something else can be put in place'
);
SELECT is(
    pg_temp.ask('ada', 'size FROM api.get_file(''@src/lib/b.bin'')'), '0', 'which is there then'
);

-- Many at once
SELECT is(
    pg_temp.ask(
        'grace',
        'string_agg(concat_ws('' '', path, outcome, code, hint IS NOT NULL), '', '')'
        ' FROM api.put_file_states(''$1'', ''[{"path": "m/1", "hash": "#one"},'
        ' {"path": "m/1", "hash": "#one"}, {"path": "M/2", "hash": "#one"},'
        ' {"path": "m/3", "hash": "#both", "size": 1}, {"path": "m/4", "hash": "#one", "x": 1},'
        ' {"path": "m/5", "hash": "#one", "media_type": ""},'
        ' {"path": "m/6", "hash": "#one", "base_version": 0, "conflict_policy": "manual",'
        ' "modified_at": "2026-01-01T00:00:00Z", "media_type": "text/plain",'
        ' "metadata": {"a": 1}}]'')'
    ),
    'm/1 created f, m/1 unchanged f, M/2 rejected RO310 t, m/3 rejected RO311 t, m/4 rejected RO302'
    ' t, m/5 rejected 23514 t, m/6 created f',
    'each has its own outcome'
);

-- Moving
INSERT INTO known SELECT 'before', realtime.last_offset('workspace:' || pg_temp.with_ids('$1'));
SELECT is(
    pg_temp.ask('grace', 'path FROM api.move_file(''@src'', ''old/code'')'), 'old/code',
    'a folder is moved'
);
SELECT is(
    pg_temp.told((SELECT value::bigint FROM known WHERE name = 'before')),
    'file.created old, file.moved old/code src', 'with one event'
);
SELECT is(
    pg_temp.tree(), 'a.txt 4, m/, m/1, m/6, old/, old/code/, old/code/lib/, old/code/lib/b.bin 4',
    'and all that is in it'
);
SELECT throws_ok(
    pg_temp.asking('ada', refused.call), refused.sqlstate, NULL, format('refused: %s', refused.call)
)
FROM (
    VALUES
        ('api.move_file(''@old'', ''old/code/x'')', 'RO302'),
        ('api.move_file(''@old'', folder_id => ''@old/code/lib'')', 'RO302'),
        ('api.move_file(''@a.txt'', ''m/1'')', 'RO301'),
        ('api.move_file(''@a.txt'', ''m/1/x'')', 'RO301'),
        ('api.move_file(''@m'', ''OLD'')', 'RO310'),
        ('api.move_file(''@old'', ''' || rtrim(repeat('d/', 63), '/') || ''')', 'RO302'),
        (
            'api.move_file(''@old'', ''' || repeat(repeat('d', 255) || '/', 14)
            || repeat('d', 250) || ''')', 'RO302'
        )
) AS refused (call, sqlstate);
SELECT is(
    pg_temp.ask('ada', 'path FROM ' || moved.call), moved.wanted,
    format('moved to %s', moved.wanted)
)
FROM (
    VALUES
        ('api.move_file(''@old'', ''Old'')', 'Old'),
        ('api.move_file(''@Old/code/lib/b.bin'', name => ''B.bin'')', 'Old/code/lib/B.bin'),
        ('api.move_file(''@Old/code'', folder_id => ''@m'')', 'm/code'),
        ('api.move_file(''@m/1'', ''m/1'')', 'm/1'),
        ('api.move_file(''@m/1'', folder_id => ''@Old'', name => ''one'')', 'Old/one'),
        ('api.move_file(''@m/code'', ''src'')', 'src'),
        ('api.move_file(''@Old/one'', ''m/1'')', 'm/1')
) AS moved (call, wanted);
SELECT is(
    pg_temp.tree(), 'Old/, a.txt 4, m/, m/1, m/6, src/, src/lib/, src/lib/B.bin 4',
    'in the order of a walk'
);

-- Copying
SELECT is(
    pg_temp.ask('ada', 'concat(path, '' '', version) FROM api.copy_file(''@a.txt'', ''c/a.txt'')'),
    'c/a.txt 1', 'a file is copied'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.copy_file(''@src'', ''src/lib/again'')'), 'src/lib/again',
    'a folder is copied into itself'
);
SELECT is(
    pg_temp.tree(),
    'Old/, a.txt 4, c/, c/a.txt, m/, m/1, m/6, src/, src/lib/, src/lib/B.bin 4, src/lib/again/,'
    ' src/lib/again/lib/, src/lib/again/lib/B.bin',
    'with all that was in it'
);

-- Deleting and restoring
SELECT throws_ok(
    pg_temp.asking('ada', refused.call), 'RO303', NULL, format('an edit is kept: %s', refused.call)
)
FROM (
    VALUES
        ('api.delete_file(''@a.txt'', 3)'),
        ('api.delete_file(''@a.txt'', seen_offset => 1)'),
        ('api.delete_file(''@src'', seen_offset => (api.get_file(''@src'')).change_seq)')
) AS refused (call);
INSERT INTO known
SELECT listed.name, pg_temp.at(listed.path)::text
FROM (
    VALUES ('src', 'src'), ('bin', 'src/lib/B.bin'), ('lib', 'src/lib'), ('text', 'a.txt')
) AS listed (name, path);
INSERT INTO known
SELECT 'now', realtime.last_offset('workspace:' || pg_temp.with_ids('$1'))::text;
SELECT is(
    pg_temp.ask(
        'grace',
        'concat_ws('' '', path, sync_status, deleted_at IS NOT NULL)'
        ' FROM api.delete_file(''%src'', seen_offset => %now)'
    ),
    'src deleted t', 'a folder that nobody has touched goes'
);
SELECT is(
    pg_temp.told((SELECT value::bigint FROM known WHERE name = 'now')), 'file.deleted src',
    'with one event'
);
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.delete_file(''%src'')'), 'deleted',
    'deleting again changes nothing'
);
SELECT is(
    pg_temp.tree(), 'Old/, a.txt 4, c/, c/a.txt, m/, m/1, m/6', 'what was in it is not seen'
);
SELECT throws_ok(
    pg_temp.asking('ada', refused.call), 'RO201', NULL, format('not seen: %s', refused.call)
)
FROM (
    VALUES
        ('api.get_file(''%bin'')'),
        ('api.move_file(''%bin'', ''x'')'),
        ('api.copy_file(''%bin'', ''x'')'),
        ('api.restore_file_version(''%bin'', 1)'),
        ('api.restore_file(''%bin'')'),
        ('api.get_file(workspace_id => ''$1'', path => ''src/lib'')')
) AS refused (call);
SELECT is(
    pg_temp.ask(
        'joan',
        'regexp_replace(string_agg(concat_ws('' '', path, sync_status), '', ''),'
        ' ''[0-9-]{10} [0-9]{4}'', ''TIME'', ''g'')'
        ' FROM api.list_files(''$1'', include_deleted => true)'
    ),
    'Old synced, a (conflict Ada''s lap top TIME).txt deleted,'
    ' a (conflict another device TIME).txt deleted, a.txt synced, c synced, m synced, src deleted',
    'what was deleted is listed on demand'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.restore_file(''%bin'', ''saved.bin'')'), 'saved.bin',
    'a file is brought back out of a deleted folder'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.restore_file(''%src'')'), 'src', 'and the folder itself'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.restore_file(''%src'')'), 'src', 'once'
);
SELECT is(
    pg_temp.tree(),
    'Old/, a.txt 4, c/, c/a.txt, m/, m/1, m/6, saved.bin 4, src/, src/lib/, src/lib/again/,'
    ' src/lib/again/lib/, src/lib/again/lib/B.bin',
    'with what is in it'
);
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''%text'', 4, %now)'), 'deleted',
    'a file goes'
);
SELECT throws_ok(
    pg_temp.asking(
        'grace',
        'api.put_file_state(''$1'', ''a.txt'', ''#one'', base_version => 4,'
        ' conflict_policy => ''server_wins'')'
    ),
    'RO303', NULL, 'the server may win'
);
SELECT is(
    pg_temp.put('grace', 'a.txt', 'one', ', base_version => 4'), 'updated 5',
    'an edit of what was deleted brings it back'
);
SELECT is(pg_temp.at('a.txt')::text, (SELECT value FROM known WHERE name = 'text'),
    'as the same file');
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''%text'')'), 'deleted', 'it goes again'
);
SELECT is(pg_temp.put('grace', 'a.txt', 'top'), 'created 1', 'a new one is made in its place');
SELECT throws_ok(
    pg_temp.asking('ada', 'api.restore_file(''%text'')'), 'RO301', NULL, 'its place is taken'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.restore_file(''%text'', ''b/a.txt'')'), 'b/a.txt',
    'another is free'
);

-- Versions
SELECT is(
    pg_temp.ask(
        'joan', 'string_agg(version::text, '' '') FROM api.list_file_versions(''%text'', 3)'
    ),
    '5 4 3', 'versions, newest first'
);
SELECT is(
    pg_temp.ask(
        'joan', 'string_agg(version::text, '' '')'
        ' FROM api.list_file_versions(''%text'', before_version => 3)'
    ),
    '2 1', 'page by page'
);
SELECT throws_ok(
    pg_temp.asking('ada', 'api.restore_file_version(''%text'', 2, 4)'), 'RO303', NULL,
    'an edit that was not seen is kept'
);
SELECT is(
    pg_temp.ask(
        'ada', 'concat(version, '' '', hash = ''#top'')'
        ' FROM api.restore_file_version(''%text'', 2, 5)'
    ),
    '6 t', 'a version is put into it again'
);
SELECT is(
    pg_temp.ask('ada', 'version FROM api.restore_file_version(''%text'', 2)'), '6',
    'what is there is no change'
);
SELECT is(
    pg_temp.ask(
        'joan', 'concat_ws('' '', is_same, is_text, hunks)'
        ' FROM api.compare_file_versions(''%text'', 1, 3)'
    ),
    'f t [{"added": ["A"], "removed": ["a"], "to_line": 1, "from_line": 1},'
    ' {"added": ["E"], "removed": ["e"], "to_line": 5, "from_line": 5}]',
    'two are compared line by line'
);
SELECT is(
    pg_temp.ask(
        'joan', 'concat_ws('' '', is_same, is_text, hunks)'
        ' FROM api.compare_file_versions(''%text'', 2, 6)'
    ),
    't t []', 'or are the same'
);
SELECT is(
    pg_temp.ask(
        'joan', 'concat_ws('' '', is_same, is_text, hunks)'
        ' FROM api.compare_file_versions(''%bin'', 1, 2)'
    ),
    'f f', 'of what is no text no lines'
);
SELECT is(
    roost.compare_text(compared.was, compared.becomes)::text, compared.wanted,
    format('%L and %L', compared.was, compared.becomes)
)
FROM (
    VALUES
        ('', '', '[]'),
        (
            E'a\nb', E'a\nx\nb',
            '[{"added": ["x"], "removed": [], "to_line": 2, "from_line": 2}]'
        ),
        (
            E'a\nx\nb', E'a\nb',
            '[{"added": [], "removed": ["x"], "to_line": 2, "from_line": 2}]'
        ),
        (
            E'a', E'a\nb',
            '[{"added": ["b"], "removed": [], "to_line": 2, "from_line": 2}]'
        )
) AS compared (was, becomes, wanted);

-- Lists
SELECT is(
    pg_temp.ask('joan', 'string_agg(path, '' '') FROM ' || listed.call), listed.wanted,
    format('%s lists %s', listed.call, listed.wanted)
)
FROM (
    VALUES
        ('api.list_files(''$1'')', 'Old a.txt b c m saved.bin src'),
        ('api.list_files(''$1'', page_size => 2)', 'Old a.txt'),
        ('api.list_files(''$1'', after => ''c'', page_size => 2)', 'm saved.bin'),
        ('api.list_files(''$1'', ''m'')', 'm/1 m/6'),
        ('api.list_files(''$1'', prefix => '''', page_size => 4)', 'Old a.txt b b/a.txt'),
        ('api.list_files(''$1'', prefix => '''', after => ''b'', page_size => 2)', 'b/a.txt c'),
        ('api.list_files(''$1'', prefix => '''', after => ''b/a.txt'', page_size => 1)', 'c'),
        ('api.list_files(''$1'', prefix => ''s'', page_size => 3)', 'saved.bin src src/lib'),
        ('api.list_files(''$1'', prefix => ''src/l'', page_size => 2)', 'src/lib src/lib/again'),
        ('api.list_files(''$1'', prefix => ''m/'')', 'm/1 m/6'),
        ('api.list_files(''$1'', prefix => ''none/'')', NULL),
        ('api.list_files(''$1'', prefix => ''a.txt/'')', NULL)
) AS listed (call, wanted);
SELECT is(
    pg_temp.ask(
        'joan', 'bool_and(path IS NOT NULL) AND count(*) = 15'
        ' FROM api.list_files(''$1'', changed_since => 0)'
    ),
    'true', 'what has changed and is there'
);
SELECT is(
    pg_temp.ask(
        'joan', 'string_agg(path, '' '') FROM api.list_files(''$1'', changed_since => %now)'
    ),
    'saved.bin src a.txt b b/a.txt', 'since an offset'
);
SELECT is(
    pg_temp.ask(
        'joan', 'count(*) FILTER (WHERE deleted_at IS NOT NULL)'
        ' FROM api.list_files(''$1'', changed_since => 0, include_deleted => true)'
    ),
    '3', 'and what was deleted'
);

-- What a device is to do
SELECT is(
    pg_temp.ask(
        'joan',
        'string_agg(concat_ws('' '', action ->> ''action'', action ->> ''path''), '', '')'
        ' FROM api.diff_workspace(''$1'', ''[]'', is_last => true) AS diff,'
        ' json_array_elements(diff.actions) AS action'
    ),
    'make_folder Old, download a.txt, make_folder b, download b/a.txt, make_folder c, download'
    ' c/a.txt, make_folder m, download m/1, download m/6, download saved.bin, make_folder src,'
    ' make_folder src/lib, make_folder src/lib/again, make_folder src/lib/again/lib, download'
    ' src/lib/again/lib/B.bin',
    'one that has nothing takes all'
);
SELECT is(
    pg_temp.ask(
        'joan',
        'concat_ws('' '', diff.through, diff.is_complete, string_agg(concat_ws('' '','
        ' action ->> ''action'', action ->> ''path'', action ->> ''to_path'','
        ' action ->> ''content'','
        ' action ->> ''code''), '', ''))'
        ' FROM api.diff_workspace(''$1'', ''' || sent.manifest || ''', ' || sent.more
        || ') AS diff,'
        ' json_array_elements(diff.actions) AS action GROUP BY diff.through, diff.is_complete'
    ),
    sent.wanted,
    format('%s is answered', sent.manifest)
)
FROM (
    VALUES
        (
            -- In step, but for what nobody has told it; and one is new here.
            '[["Old", "folder", null, null, "@Old"], ["a.txt", "#top", 1, 1, "@a.txt"],'
            ' ["b", "folder"], ["b/a.txt", "#top"], ["b/new", "#one"]]', 'NULL',
            'b/new f adopt b, adopt b/a.txt, upload b/new'
        ),
        (
            -- Changed here, there and on both sides; deleted here.
            '[["b/a.txt", "#one", 1, 6, "@b/a.txt"], ["c/a.txt", "#one", 1, 0],'
            ' ["m/1", null, null, 1, "@m/1"], ["m/6", "folder"]]', '''b/a'', false',
            'm/6 f upload b/a.txt, make_folder c, conflict c/a.txt, make_folder m, delete_there'
            ' m/1, refuse m/6 RO301'
        ),
        (
            '[["b/a.txt", "#one", 1, 5, "@b/a.txt"], ["b/b", null, null, 1, "@m/1"],'
            ' ["b/c", null, null, 7, "@m/6"], ["b/d", null]]', '''b'', false',
            'b/d f download b/a.txt, delete_there b/b, download m/6'
        ),
        (
            -- Moved there, and what is in it changed as well; other capitals; no path at all.
            '[["m/1", "#end", 1, 1, "@m/6"], ["m/6", "#one", 1, 1, "@m/1"],'
            ' ["m/7", "#one", 1, 6, "@b/a.txt"], ["m/8", "#one", 1, 1, "@a.txt"],'
            ' ["m/9", "#one", 1, 5, "@b/a.txt"]]', '''m'', false',
            'm/9 f conflict m/1, adopt m/6, move m/7 b/a.txt upload, move m/8 a.txt upload, move'
            ' m/9 b/a.txt download'
        ),
        (
            '[["m/1", null, null, 0], ["m/6", "#one", 1, 1, "@m/6"], ["m/M", "#one"],'
            ' ["n", "folder"], ["o ", "#one"], ["saved.BIN", "#one"], ["saved.bin", "#one"]]',
            '''m'', false',
            'saved.bin f download m/1, upload m/M, upload n, refuse o  RO302, refuse saved.BIN'
            ' RO310, conflict saved.bin'
        ),
        (
            '[["src", null, null, 0], ["src/lib", "folder", null, 1, "@src/lib"],'
            ' ["src/lib/B.bin", "#one", 1, 4, "%bin"],'
            ' ["src/lib/again", "folder", null, 1, "@src/lib/again"],'
            ' ["src/lib/again/lib", "folder", null, 1, "@src/lib/again/lib"],'
            ' ["src/lib/again/lib/B.bin", "#empty", 0, 1, "@src/lib/again/lib/B.bin"]]',
            '''saved.bin'', true',
            't make_folder src, move src/lib/B.bin saved.bin upload'
        )
) AS sent (manifest, more, wanted);
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''@b'')'), 'deleted', 'a folder goes'
);
SELECT is(
    pg_temp.ask(
        'joan',
        'string_agg(concat_ws('' '', action ->> ''action'', action ->> ''path''), '', '')'
        ' FROM api.diff_workspace(''$1'', ''[["b", "folder", null, 1, "' || folder.id || '"],'
        ' ["b/a.txt", "#top", 1, 6, "%text"], ["b/b", "#one", 1, 6, "%text"],'
        ' ["b/c", "#one", 1, 6, "00000000-0000-7000-9000-0000000000fe"]]'', ''a.txt'') AS diff,'
        ' json_array_elements(diff.actions) AS action'
    ),
    'delete b, delete b/a.txt, upload b/b, upload b/c',
    'what was deleted there goes here, unless it was edited'
)
FROM roost.file_sync_state AS folder
WHERE folder.name = 'b';

-- Names of copies
SELECT set_config('roost.device_id', '', true);
SELECT is(
    regexp_replace(
        roost.name_conflict_copy(
            pg_temp.with_ids('$1')::uuid, pg_temp.with_ids('$1')::uuid, named.name
        ),
        '[0-9-]{10} [0-9]{4}',
        'TIME'
    ),
    named.wanted, format('a copy of %s', left(named.name, 40))
)
FROM (
    VALUES
        ('x', 'x (conflict another device TIME)'),
        ('.env', '.env (conflict another device TIME)'),
        ('x.tar.gz', 'x.tar (conflict another device TIME).gz'),
        ('x.' || repeat('y', 40), 'x.' || repeat('y', 40) || ' (conflict another device TIME)')
) AS named (name, wanted);
SELECT is(
    octet_length(roost.name_conflict_copy(
        pg_temp.with_ids('$1')::uuid, pg_temp.with_ids('$1')::uuid, repeat('ü', 120) || '.txt'
    )) BETWEEN 250 AND 255,
    true, 'a long name is cut'
);
SELECT is(pg_temp.put('ada', 'n.bin', 'binary'), 'created 1', 'one');
SELECT is(
    pg_temp.put('ada', 'n.bin', listed.content, ', base_version => 0'), 'conflict 1',
    'and more in the same minute'
)
FROM (VALUES ('binary2'), ('binary3')) AS listed (content);
SELECT is(
    (
        SELECT count(*)
        FROM roost.file_sync_state AS file
        WHERE file.name LIKE 'n (conflict % 2).bin'
    ),
    1::bigint,
    'are numbered'
);
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''' || file.id || ''')'), 'deleted',
    'a copy goes by hand'
)
FROM roost.file_sync_state AS file
WHERE file.name LIKE 'n (conflict % 2).bin';
SELECT is(
    pg_temp.ask(
        'ada', 'string_agg((api.resolve_conflict(listed.id, ''mine'')).state::text, '' '')'
        ' FROM (SELECT id FROM api.list_conflicts() ORDER BY id DESC) AS listed'
    ),
    'resolved resolved', 'and is put in place nevertheless'
);
SELECT is(
    pg_temp.ask('ada', 'concat_ws('' '', version, sync_status) FROM api.get_file(''@n.bin'')'),
    '3 synced', 'one after the other'
);
SELECT throws_ok(
    'SELECT roost.require_content(NULL, NULL)', 'RO311', NULL, 'no content is missing'
);
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''@n.bin'')'), 'deleted', 'all that goes'
);

-- Another file at the path, which has the same version by chance
SELECT is(pg_temp.put('ada', 'same.bin', 'binary'), 'created 1', 'one is put there');
INSERT INTO known SELECT 'same', pg_temp.ask('ada', 'id FROM api.get_file(''@same.bin'')');
SELECT is(
    pg_temp.put('ada', 'same.bin', 'binary2', ', base_version => 1, file_id => ''%same'''),
    'updated 2', 'its own id changes nothing'
);
SELECT is(
    pg_temp.ask('ada', 'path FROM api.move_file(''%same'', ''moved.bin'')'), 'moved.bin', 'it goes'
);
SELECT is(pg_temp.put('grace', 'same.bin', 'one'), 'created 1', 'and another one comes');
SELECT is(pg_temp.put('grace', 'same.bin', 'top'), 'updated 2', 'with the same version');
SELECT throws_ok(
    pg_temp.asking(
        'ada',
        'api.put_file_state(''$1'', ''same.bin'', ''#end'', base_version => 2,'
        ' conflict_policy => ''server_wins'', file_id => ''%same'')'
    ),
    'RO303', NULL, 'where the server wins the other is not overwritten'
);
SELECT is(
    pg_temp.put('ada', 'same.bin', 'top', ', base_version => 2, file_id => ''%same'''),
    'unchanged 2', 'what it has already is no change'
);
SELECT is(
    pg_temp.put('ada', 'same.bin', 'end', ', base_version => 2, file_id => ''%same'''),
    'conflict 2', 'else it is a conflict, and texts are not merged on a version of another file'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'concat_ws('' '', outcome, copy IS NOT NULL) FROM api.put_file_states(''$1'','
        ' ''[{"path": "same.bin", "hash": "#end", "base_version": 2, "file_id": "%same"}]'')'
    ),
    'conflict t', 'of many as well'
);
SELECT is(
    pg_temp.ask(
        'grace',
        'string_agg(outcome || '' '' || code, '', '') FROM api.push_operations(''['
        '{"id": 1, "kind": "put_file_state", "args": {"workspace_id": "$1", "path": "same.bin",'
        ' "hash": "#other", "base_version": 2, "file_id": "%same"}}]'')'
    ),
    'conflict RO303', 'and of operations'
);
SELECT is(
    pg_temp.ask(
        person.name,
        'state FROM api.resolve_conflict((SELECT id FROM api.list_conflicts()), ''theirs'')'
    ),
    'resolved', person.name || '''s is decided'
)
FROM person
WHERE person.name IN ('ada', 'grace');
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''' || file.id || ''')'), 'deleted',
    file.name || ' goes'
)
FROM roost.file_sync_state AS file
WHERE file.name IN ('same.bin', 'moved.bin') AND file.deleted_at IS NULL;
SELECT is(
    pg_temp.put('ada', 'same.bin', 'other', ', base_version => 2, file_id => ''%same'''),
    'created 1', 'one that was deleted elsewhere does not bring back what was deleted here'
);

-- What is damaged
INSERT INTO known SELECT 'same2', pg_temp.ask('ada', 'id FROM api.get_file(''@same.bin'')');
CREATE FUNCTION pg_temp.check(p_person text, p_more text DEFAULT '')
RETURNS text
LANGUAGE sql
AS $$
    SELECT pg_temp.ask(
        p_person,
        format(
            'concat_ws('' '', version, size, is_sound, next_byte, damaged) FROM'
            ' api.verify_file(''%%same2''%s)', p_more
        )
    );
$$;
CREATE FUNCTION pg_temp.told_since()
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat_ws(' ', event.event, event.payload ->> 'sync_status'), ', '
        ORDER BY event.event_offset
    )
    FROM realtime.events AS event
    WHERE event.topic = 'workspace:00000000-0000-7000-9000-000000000001'
        AND event.event_offset > (SELECT value::bigint FROM known WHERE name = 'checked');
$$;
INSERT INTO known SELECT 'checked', realtime.last_offset('workspace:' || pg_temp.with_ids('$1'));
SELECT is(pg_temp.check('joan'), '1 10 t []', 'who reads may have it checked: it is sound');
SELECT is(pg_temp.told_since(), NULL, 'and nothing is told');
UPDATE roost.file_chunks AS chunk SET content = convert_to(E'X\nb\nc\nd\nf\n', 'UTF8')
FROM content
WHERE content.name = 'other' AND chunk.hash = sha256(content.bytes);
SELECT is(
    pg_temp.check('joan'),
    pg_temp.with_ids(
        '1 10 f [{"hash": "#other", "size": 10, "problem": "damaged", "from_byte": 0}]'
    ),
    'a chunk is not what it was'
);
SELECT is(pg_temp.told_since(), 'file.updated error', 'which is told');
SELECT is(pg_temp.check('ada', ', 1') LIKE '1 10 f %', true, 'and is so again');
SELECT is(pg_temp.told_since(), 'file.updated error', 'but told once');
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.get_file(''%same2'')'), 'error', 'it is to be seen'
);
SELECT is(
    pg_temp.check('joan', ', from_byte => 10'), '1 10 t []', 'behind it nothing is found'
);
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.get_file(''%same2'')'), 'error',
    'which does not mend it'
);
UPDATE roost.file_chunks AS chunk SET content = content.bytes
FROM content
WHERE content.name = 'other' AND chunk.hash = sha256(content.bytes);
SELECT is(pg_temp.check('joan'), '1 10 t []', 'it is repaired');
SELECT is(
    pg_temp.told_since(), 'file.updated error, file.updated synced', 'which is told as well'
);
UPDATE roost.file_chunks AS chunk SET content = 'x'
FROM content
WHERE content.name = 'other' AND chunk.hash = sha256(content.bytes);
SELECT is(pg_temp.check('joan') LIKE '1 10 f %', true, 'it is damaged again');
SELECT is(pg_temp.put('ada', 'same.bin', 'binary'), 'updated 2', 'and another version comes');
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.get_file(''%same2'')'), 'synced',
    'that one is sound'
);
SELECT is(pg_temp.check('joan', ', 1') LIKE '1 10 f %', true, 'the old one is not');
SELECT is(pg_temp.check('joan'), '2 3 t []', 'the newest is');
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.get_file(''%same2'')'), 'synced', 'which counts'
);
UPDATE roost.file_chunks AS chunk SET content = content.bytes
FROM content
WHERE content.name = 'other' AND chunk.hash = sha256(content.bytes);
SELECT is(pg_temp.check('joan', ', 1'), '1 10 t []', 'an old version is repaired');
SELECT is(
    pg_temp.put('ada', 'same.bin', 'binary3', ', base_version => 0'), 'conflict 2', 'a conflict'
);
UPDATE roost.file_chunks AS chunk SET content = 'x'
FROM content
WHERE content.name = 'binary' AND chunk.hash = sha256(content.bytes);
SELECT is(pg_temp.check('joan') LIKE '2 3 f %', true, 'about a damaged file');
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.get_file(''%same2'')'), 'error', 'which is worse'
);
UPDATE roost.file_chunks AS chunk SET content = content.bytes
FROM content
WHERE content.name = 'binary' AND chunk.hash = sha256(content.bytes);
SELECT is(pg_temp.check('joan'), '2 3 t []', 'when that is repaired');
SELECT is(
    pg_temp.ask('grace', 'sync_status FROM api.get_file(''%same2'')'), 'conflict',
    'the conflict is still open'
);
UPDATE roost.file_sync_state SET sync_status = 'error'
WHERE name = 'same.bin' AND deleted_at IS NULL;
SELECT is(
    pg_temp.ask(
        'ada', 'file ->> ''sync_status'' FROM api.put_file_state(''$1'', ''same.bin'', ''#one'')'
    ),
    'conflict', 'after another version as well'
);
-- As many bytes as a call does not read: 300 chunks of 1 MiB, of which two are not what they were.
INSERT INTO roost.file_chunks (hash, content)
SELECT sha256(made.bytes), made.bytes
FROM (VALUES (convert_to(repeat('0123456789abcdef', 65536), 'UTF8'))) AS made (bytes);
INSERT INTO roost.file_chunks (hash, content) VALUES (sha256('bad'), 'worse');
INSERT INTO roost.file_contents (id, workspace_id, hash, size, owner_id)
SELECT
    '00000000-0000-7000-9000-0000000000cc', workspace.id, sha256('large'), 300 * 1048576,
    workspace.user_id
FROM roost.workspaces AS workspace
WHERE workspace.id = pg_temp.with_ids('$1')::uuid;
INSERT INTO roost.content_chunks (content_id, from_byte, size, workspace_id, chunk_hash)
SELECT
    '00000000-0000-7000-9000-0000000000cc', place * 1048576::bigint, 1048576,
    pg_temp.with_ids('$1')::uuid,
    CASE
        WHEN place IN (3, 299) THEN sha256('bad')
        ELSE sha256(convert_to(repeat('0123456789abcdef', 65536), 'UTF8'))
    END
FROM generate_series(0, 299) AS place;
SELECT is(
    pg_temp.ask(
        'ada',
        'state FROM api.resolve_conflict((SELECT id FROM api.list_conflicts()), ''theirs'')'
    ),
    'resolved', 'it is decided'
);
UPDATE roost.file_sync_state
SET content_id = '00000000-0000-7000-9000-0000000000cc', sync_status = 'synced'
WHERE name = 'same.bin' AND deleted_at IS NULL;
UPDATE roost.file_versions
SET content_id = '00000000-0000-7000-9000-0000000000cc', size = 300 * 1048576
WHERE file_id = (SELECT value::uuid FROM known WHERE name = 'same2') AND version = 3;
CREATE FUNCTION pg_temp.check_part(p_from bigint)
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        pg_temp.ask(
            'joan',
            format(
                'concat_ws('' '', is_sound, next_byte, damaged -> 0 ->> ''from_byte'')'
                ' FROM api.verify_file(''%%same2'', from_byte => %s)', p_from
            )
        ),
        ' ',
        pg_temp.ask('joan', 'sync_status FROM api.get_file(''%same2'')')
    );
$$;
SELECT is(
    pg_temp.check_part(sent.from_byte), sent.wanted, format('from byte %s', sent.from_byte)
)
FROM (
    VALUES
        (0, 'f 268435456 3145728 error'),
        (268435456, 'f 313524224 error'),
        (4194304, 't 272629760 error'),
        (313524225, 't error')
) AS sent (from_byte, wanted);
UPDATE roost.content_chunks
SET chunk_hash = sha256(convert_to(repeat('0123456789abcdef', 65536), 'UTF8'))
WHERE chunk_hash = sha256('bad');
SELECT is(
    pg_temp.check_part(sent.from_byte), sent.wanted,
    format('repaired, from byte %s', sent.from_byte)
)
FROM (
    VALUES (0, 't 268435456 error'), (268435456, 't synced')
) AS sent (from_byte, wanted);
SELECT is(
    (SELECT isempty(damaged) FROM roost.file_contents WHERE hash = sha256('large')), true,
    'nothing is left of it'
);
SELECT is(
    pg_temp.ask('ada', 'sync_status FROM api.delete_file(''%same2'')'), 'deleted', 'all that goes'
);

-- Without a device nobody could decide.
SELECT is(
    roost.store_content(pg_temp.with_ids('$2')::uuid, content.bytes) IS NOT NULL, true, 'stored'
)
FROM content
WHERE content.name IN ('binary', 'binary2');
SELECT is(
    pg_temp.ask(
        'mary', 'concat_ws('' '', outcome, conflict_id, file ->> ''sync_status'')'
        ' FROM api.put_file_state(''$2'', ''m.bin'', ''#' || listed.content
        || ''', base_version => 0)'
    ),
    listed.wanted, 'mary has no device'
)
FROM (
    VALUES ('binary', 'created synced'), ('binary2', 'conflict synced')
) AS listed (content, wanted);
DELETE FROM roost.workspaces AS workspace WHERE workspace.id = pg_temp.with_ids('$2')::uuid;

-- Operations
SELECT is(
    pg_temp.ask(
        'ada',
        'string_agg(concat_ws('' '', outcome, code), '', '' ORDER BY id)'
        ' FROM api.push_operations(''['
        '{"id": 1, "kind": "make_folder", "args": {"workspace_id": "$1", "path": "o"}},'
        '{"id": 2, "kind": "put_file_state", "args":'
        ' {"workspace_id": "$1", "path": "o/a", "hash": "#one", "base_version": 0}},'
        '{"id": 3, "kind": "put_file_state", "base_version": 7, "args":'
        ' {"workspace_id": "$1", "path": "o/a", "hash": "#binary"}},'
        '{"id": 4, "kind": "put_file_state", "args":'
        ' {"workspace_id": "$1", "path": "o/b", "hash": "#both", "size": 1}}]'')'
    ),
    'applied, applied, conflict RO303, rejected RO311', 'operations put files'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'string_agg(concat_ws('' '', outcome, code), '', '' ORDER BY id)'
        ' FROM api.push_operations(''['
        '{"id": 5, "kind": "move_file", "args": {"file_id": "@o/a", "path": "o/c"}},'
        '{"id": 6, "kind": "copy_file", "args": {"file_id": "@o/a", "path": "o/d"}},'
        '{"id": 7, "kind": "delete_file", "args": {"file_id": "@o/a"}, "base_version": 9},'
        '{"id": 8, "kind": "delete_file", "args": {"file_id": "@o/a"}, "base_version": 1},'
        '{"id": 9, "kind": "restore_file", "args": {"file_id": "@o/a"}},'
        '{"id": 10, "kind": "delete_file", "args": {"file_id": "@o"}}]'')'
    ),
    'applied, applied, rejected RO303, applied, applied, applied', 'and do the rest'
);
SELECT is(
    pg_temp.ask(
        'ada',
        'state FROM api.resolve_conflict((SELECT id FROM api.list_conflicts()), ''theirs'')'
    ),
    'resolved', 'decided where the folder is gone'
);

-- In step
SELECT is(
    pg_temp.ask(
        'joan',
        'concat(differing, changed) FROM api.verify_scope(''workspace:$1'', ' || at.position
        || ', 1, ''{"0": [0, 0], "1": [0, 0]}'')'
    ),
    at.wanted, 'files are compared by their offsets'
)
FROM (
    VALUES
        (realtime.last_offset('workspace:' || pg_temp.with_ids('$1')), '{0}{}'),
        (1, '{}{0,1}')
) AS at (position, wanted);

-- Much
INSERT INTO roost.file_sync_state (workspace_id, name, kind)
VALUES (pg_temp.with_ids('$1')::uuid, 'zz', 'folder');
INSERT INTO roost.file_sync_state (workspace_id, parent_id, name, kind)
SELECT folder.workspace_id, folder.id, 'd' || n, 'folder'
FROM roost.file_sync_state AS folder
CROSS JOIN generate_series(1, 20000) AS n
WHERE folder.name = 'zz';
SELECT throws_ok(
    pg_temp.asking('ada', 'api.copy_file(''@zz'', ''zzz'')'), 'RO302', NULL,
    'too much to be copied at once'
);
SELECT is(
    pg_temp.ask(
        'joan', 'concat_ws('' '', json_array_length(actions), through LIKE ''zz/d%'', is_complete)'
        ' FROM api.diff_workspace(''$1'', ''[]'', is_last => true)'
    ),
    '20000 t f', 'or to be told'
);
DELETE FROM roost.file_sync_state AS file WHERE file.parent_id = (SELECT pg_temp.at('zz'));
DELETE FROM roost.file_sync_state AS file WHERE file.name = 'zz';

-- Retention
SELECT is(
    pg_temp.ask('grace', 'version FROM api.restore_file_version(''@a.txt'', 1)'), '1', 'as it is'
);
INSERT INTO roost.file_versions (
    file_id, version, workspace_id, content_id, hash, size, created_at, expires_at
)
SELECT
    file.id, 100 + n, file.workspace_id, file.content_id, file.hash, file.size,
    now() - interval '31 days', now() + (n - 2) * interval '1 day'
FROM roost.file_sync_state AS file
CROSS JOIN generate_series(1, 3) AS n
WHERE roost.file_path(file.id) = 'a.txt';
SELECT is(roost.expire_files(100), 1::bigint, 'a version that is past its time goes');
SELECT is(roost.expire_files(100), 0::bigint, 'and no other');
UPDATE roost.file_sync_state AS file SET version = 203 WHERE roost.file_path(file.id) = 'a.txt';
UPDATE roost.file_versions AS old SET expires_at = NULL WHERE old.version = 103;
UPDATE roost.file_versions AS old SET version = 104 WHERE old.version = 103;
SELECT is(pg_temp.put('ada', 'a.txt', 'end'), 'updated 204', 'one more');
SELECT is(
    (SELECT old.expires_at < now() FROM roost.file_versions AS old WHERE old.version = 104), true,
    'puts a time to the one that is a hundred before it'
);
UPDATE roost.file_sync_state AS file
SET deleted_at = now() - interval '31 days', sync_status = 'deleted'
WHERE roost.file_path(file.id) = 'src' OR file.name LIKE 'b (conflict%';
SELECT throws_ok(
    pg_temp.asking('ada', 'api.restore_file(''%src'')'), 'RO305', NULL,
    'after 30 days nothing is restored'
);
SELECT is(
    (SELECT string_agg(roost.expire_files(100)::text, ' ') FROM generate_series(1, 5)),
    '2 1 1 1 0', 'level by level what was in it is deleted too'
);
SELECT is(
    (
        SELECT count(*)
        FROM roost.file_sync_state AS file
        WHERE file.deleted_at < now() - interval '30 days'
    ),
    6::bigint,
    'and not yet gone'
);
UPDATE roost.file_sync_state AS file SET deleted_at = file.deleted_at - interval '7 days'
WHERE file.deleted_at < now() - interval '30 days';
SELECT is(
    (SELECT string_agg(roost.expire_files(100)::text, ' ') FROM generate_series(1, 6)),
    '2 1 1 1 1 0', 'a week later it goes'
);
SELECT ok(
    (
        SELECT topic.removed_offset > 0
        FROM realtime.topics AS topic
        WHERE topic.topic = 'workspace:' || pg_temp.with_ids('$1')
    ),
    'which who was away reads anew'
);
SELECT is(
    (
        SELECT count(*)
        FROM roost.file_contents AS content
        WHERE content.hash IN (SELECT sha256('\xff00fc'::bytea))
            AND NOT EXISTS (
                SELECT FROM roost.file_versions AS old WHERE old.content_id = content.id
            )
    ),
    0::bigint,
    'no content stays that nothing names'
);

-- Conversations that point to a workspace
SELECT is(
    pg_temp.ask(
        'ada',
        'workspace_id FROM api.create_conversation(participants => ARRAY['
        '''00000000-0000-7000-8000-00000000000d''::uuid], workspace_id => ''$1'','
        ' id => ''00000000-0000-7000-9000-0000000000c1'')'
    ),
    pg_temp.with_ids('$1'), 'a conversation points to one'
);
SELECT is(
    pg_temp.ask(
        'mary', 'workspace_id FROM api.get_conversation(''00000000-0000-7000-9000-0000000000c1'')'
    ),
    NULL, 'which who is not in that does not see'
);
SELECT throws_ok(
    pg_temp.asking(refused.person, refused.call), 'RO201', NULL, format('refused: %s', refused.call)
)
FROM (
    VALUES
        ('ada', 'api.create_conversation(workspace_id => ''$2'')'),
        (
            'ada',
            'api.update_conversation(''00000000-0000-7000-9000-0000000000c1'','
            ' workspace_id => ''$2'')'
        )
) AS refused (person, call);
SELECT is(
    pg_temp.ask(
        'ada',
        'workspace_id FROM api.update_conversation(''00000000-0000-7000-9000-0000000000c1'','
        ' workspace_id => ''$1'')'
    ),
    pg_temp.with_ids('$1'), 'it may be put another time'
);

-- Metadata alone
SELECT is(pg_temp.put('ada', 'run.sh', 'one'), 'created 1', 'a file without metadata');
SELECT is(
    pg_temp.put('ada', 'run.sh', 'one', changed.more), changed.outcome, 'metadata: ' || changed.more
)
FROM (
    VALUES
        (1, ', base_version => 1, metadata => ''{"x": 1}''', 'updated 2'),
        (2, ', base_version => 2, metadata => ''{"x": 1}''', 'unchanged 2'),
        (3, ', base_version => 1, metadata => ''{"x": 2}''', 'unchanged 2'),
        (4, ', metadata => ''{"x": 2}''', 'unchanged 2'),
        (5, ', base_version => 2', 'unchanged 2')
) AS changed (place, more, outcome)
ORDER BY changed.place;

-- A workspace that goes
SELECT is(pg_temp.ask('ada', 'path FROM api.delete_workspace(''$1'')'), '/a', 'ada deletes it');
SELECT is(
    pg_temp.ask('ada', 'path FROM api.create_workspace(''A'', ''/a'')'), '/a', 'its path is free'
);
SELECT throws_ok(
    pg_temp.asking(person.name, 'api.list_files(''$1'')'), 'RO201', NULL,
    format('%s sees nothing of it', person.name)
)
FROM person
WHERE person.id IS NOT NULL;
SELECT is(
    pg_temp.ask(
        'ada', 'workspace_id FROM api.get_conversation(''00000000-0000-7000-9000-0000000000c1'')'
    ),
    NULL, 'nor does what has pointed to it'
);
SELECT ok(
    (SELECT count(*) FROM roost.file_sync_state) > 8, 'what was in it is there for a moment'
);
SELECT is(
    (SELECT count(*) FROM generate_series(1, 40) AS n WHERE roost.purge_workspaces(3) > 0) > 3,
    true, 'it goes bit by bit'
);
SELECT is(roost.purge_workspaces(3), 0::bigint, 'until nothing is left');
SELECT is(
    (
        SELECT count(*) FROM roost.workspaces AS workspace
        WHERE workspace.id = pg_temp.with_ids('$1')::uuid
    )
    + (SELECT count(*) FROM roost.file_sync_state)
    + (SELECT count(*) FROM roost.file_versions)
    + (SELECT count(*) FROM roost.sync_conflicts)
    + (SELECT count(*) FROM roost.file_contents),
    0::bigint,
    'of it'
);

SELECT * FROM finish();

ROLLBACK;

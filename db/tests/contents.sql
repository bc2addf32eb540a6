-- What is in files: who may call, what is stored and counted, what is refused, and what goes when
-- nothing refers to it. Who waits for whom is for tests/test_contents.py.
BEGIN;

SELECT plan(266);

CREATE TEMPORARY TABLE person (name text PRIMARY KEY, id uuid);
INSERT INTO person
SELECT name, ('00000000-0000-7000-8000-00000000000' || letter)::uuid
FROM (VALUES ('ada', 'a'), ('grace', 'b'), ('joan', 'c')) AS listed (name, letter);
SELECT make_user(id, name || '@example.com') FROM person;
INSERT INTO person VALUES ('nobody', NULL);
SELECT set_config('roost.gateway', 'on', true);

-- $1 and $2 are workspaces: ada's, in which grace is a viewer and joan an editor, and grace's own.
INSERT INTO roost.workspaces (id, user_id, name, path)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'Notes', '/n'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000b', 'Other', '/o'
);
INSERT INTO roost.workspace_members (workspace_id, user_id, role)
SELECT
    ('00000000-0000-7000-9000-00000000000' || workspace)::uuid, person.id,
    role::roost.workspace_role
FROM (
    VALUES ('1', 'ada', 'owner'), ('1', 'grace', 'viewer'), ('1', 'joan', 'editor'),
    ('2', 'grace', 'owner')
) AS member (workspace, name, role)
JOIN person ON person.name = member.name;

CREATE FUNCTION pg_temp.with_ids(p_text text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT regexp_replace(p_text, '\$([0-9])', '00000000-0000-7000-9000-00000000000\1', 'g');
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
-- Everything but when it was.
CREATE FUNCTION pg_temp.state()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(
        (SELECT json_agg(encode(hash, 'hex') ORDER BY hash) FROM roost.file_chunks),
        (SELECT json_agg(content ORDER BY id) FROM roost.file_contents AS content),
        (SELECT json_agg(piece ORDER BY content_id, from_byte) FROM roost.content_chunks AS piece),
        (SELECT json_agg(lease ORDER BY chunk_hash) FROM roost.chunk_leases AS lease),
        (SELECT json_agg(lease ORDER BY content_id) FROM roost.content_leases AS lease),
        (SELECT json_agg(upload ORDER BY id) FROM roost.uploads AS upload),
        (SELECT json_agg(piece ORDER BY upload_id, from_byte) FROM roost.upload_chunks AS piece),
        (SELECT json_agg(usage ORDER BY user_id) FROM roost.storage_usage AS usage)
    );
$$;
CREATE FUNCTION pg_temp.used(p_person text)
RETURNS bigint
LANGUAGE sql
AS $$
    SELECT usage.bytes
    FROM roost.storage_usage AS usage
    JOIN person ON person.id = usage.user_id
    WHERE person.name = p_person;
$$;
-- An upload of a person's to $1, as the server announces it.
CREATE FUNCTION pg_temp.announce(
    p_person text, p_length bigint, p_kind text DEFAULT 'whole',
    p_about text DEFAULT '{"workspace_id": "$1", "path": "a.txt"}', p_parts uuid[] DEFAULT '{}'
)
RETURNS uuid
LANGUAGE sql
AS $$
    SELECT pg_temp.ask(
        p_person,
        format(
            'id FROM roost.create_upload(%L, %L, '''', %L, %L)', p_kind, p_length, p_about, p_parts
        )
    )::uuid;
$$;
-- Appends one chunk, and a tail.
CREATE FUNCTION pg_temp.appending(p_id uuid, p_from bigint, p_chunk text, p_tail text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT format(
        'roost.append_upload(%L, %L, %L, %L, %L, %L, true)',
        p_id, p_from,
        CASE WHEN p_chunk = '' THEN '{}' ELSE ARRAY[sha256(p_chunk::bytea)] END,
        CASE WHEN p_chunk = '' THEN '{}' ELSE ARRAY[octet_length(p_chunk)] END,
        p_chunk::bytea, p_tail::bytea
    );
$$;
CREATE TEMPORARY TABLE made (name text PRIMARY KEY, id uuid);

-- Who may call
CREATE TEMPORARY TABLE called (call text, gateway boolean);
INSERT INTO called
VALUES
('api.missing_chunks(''$1'', ''{}'')', false),
('api.list_uploads(''$1'')', false),
('roost.create_upload(''whole'', 1, '''', ''{"workspace_id": "$1"}'', ''{}'')', false),
('roost.find_upload(''$1'')', false),
('roost.set_upload_length(''$1'', 1)', false),
('roost.append_upload(''$1'', 0, ''{}'', ''{}'', '''', '''', false)', false),
('roost.read_upload(''$1'', 0, 1)', false),
('roost.finish_upload(''$1'', '''')', false),
('roost.delete_upload(''$1'')', false),
('roost.store_chunks(''$1'', ''{}'', ''{}'', '''')', false),
('roost.begin_content(''$1'', '''', 0, ''{}'', ''{}'')', false),
('roost.read_chunks(''$1'', ''{}'')', false),
('roost.make_content(''$1'', '''', 0, ''{}'', ''{}'')', false),
('roost.open_download(''$1'', NULL)', false),
('roost.read_content(''$1'', 0, 1, NULL)', false);
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
    calling('roost_user', person.id, 'SELECT ' || called.call),
    '42501',
    NULL,
    'people do not call ' || called.call
)
FROM person
CROSS JOIN (
    VALUES
        ('roost.collect_chunks(1)'),
        ('roost.expire_uploads(1)'),
        ('roost.expire_chunk_leases(1)'),
        ('roost.expire_content_leases(1)'),
        ('roost.begin_link(NULL)'),
        ('roost.verify_content(NULL)'),
        ('roost.find_content(NULL, NULL)'),
        ('roost.has_uploads(NULL)'),
        ('roost.upload_status(NULL, NULL)'),
        ('roost.read_uploads(NULL, 1, NULL)'),
        ('roost.read_content_text(NULL, 1)'),
        ('roost.store_content(gen_random_uuid(), '''')'),
        ('roost.insert_content(NULL, NULL, NULL, 0)'),
        ('roost.keep_chunks(NULL, NULL, NULL)')
) AS called (call)
WHERE person.name = 'ada';

-- Who may write where
SELECT throws_ok(
    pg_temp.asking(refused.person, refused.call),
    refused.sqlstate,
    NULL,
    format('%s: %s', refused.person, refused.call)
)
FROM (
    SELECT person, call, sqlstate
    FROM (
        VALUES
            ('grace', '$1', 'RO202'), ('ada', '$2', 'RO201'),
            ('ada', '00000000-0000-7000-9000-0000000000ff', 'RO201')
    ) AS listed (person, workspace, sqlstate)
    CROSS JOIN LATERAL (
        VALUES
            (format('api.missing_chunks(%L, ''{}'')', workspace)),
            (format('roost.store_chunks(%L, ''{}'', ''{}'', '''')', workspace)),
            (format('roost.begin_content(%L, ''x'', 0, ''{}'', ''{}'')', workspace)),
            (format('roost.make_content(%L, ''x'', 0, ''{}'', ''{}'')', workspace)),
            (format('roost.read_chunks(%L, ''{}'')', workspace)),
            (
                format(
                    'roost.create_upload(''whole'', 1, '''', %L, ''{}'')',
                    json_build_object('workspace_id', workspace, 'path', 'a')
                )
            )
    ) AS called (call)
) AS refused;
SELECT is(
    (SELECT count(*) FROM roost.uploads) + (SELECT count(*) FROM roost.file_chunks),
    0::bigint,
    'after these refusals nothing is there'
);

-- An upload from beginning to end
INSERT INTO made SELECT 'whole', pg_temp.announce('joan', 10);
SELECT is(pg_temp.used('ada'), 10::bigint, 'an upload reserves room of the owner of the workspace');
SELECT is(pg_temp.used('joan'), NULL, 'and none of who uploads');
SELECT is(
    pg_temp.ask('joan', pg_temp.appending(made.id, 0, 'abc', 'de')), '5', 'what arrived is counted'
)
FROM made;
SELECT is(
    current_setting('roost.touched') LIKE '%~workspace:%upload.progress%"received": 5%', true,
    'and told'
);
SELECT throws_ok(
    pg_temp.asking('joan', pg_temp.appending(made.id, from_byte, chunk, '')),
    sqlstate, NULL, problem
)
FROM made
CROSS JOIN (
    VALUES
        (3::bigint, 'def', 'RO703', 'it goes on where it is, tail included'),
        (6, 'def', 'RO703', 'and not beyond'),
        (5, 'de3456789!!', '23514', 'nor over its length')
) AS refused (from_byte, chunk, sqlstate, problem);
SELECT throws_ok(
    pg_temp.asking(person.name, call),
    'RO201', NULL, format('%s has no such upload: %s', person.name, call)
)
FROM made
CROSS JOIN person
CROSS JOIN LATERAL (
    VALUES
        (pg_temp.appending(made.id, 5, 'def', '')),
        (format('roost.finish_upload(%L, sha256(''abc''))', made.id)),
        (format('roost.delete_upload(%L)', made.id)),
        (format('roost.read_upload(%L, 0, 9)', made.id)),
        (format('roost.set_upload_length(%L, 9)', made.id))
) AS called (call)
WHERE person.name IN ('ada', 'grace');
SELECT throws_ok(
    pg_temp.asking('joan', format('roost.finish_upload(%L, sha256(''abcde''))', made.id)),
    'RO703', NULL, 'it is no file before it is complete'
)
FROM made;
SELECT throws_ok(
    pg_temp.asking('joan', format('roost.set_upload_length(%L, 9)', made.id)),
    'RO302', NULL, 'its length is known'
)
FROM made;
SELECT is(
    pg_temp.ask('joan', format('length FROM roost.set_upload_length(%L, 10)', made.id)),
    '10', 'which may be said again'
)
FROM made;
SELECT is(
    (
        SELECT concat_ws(' ', received, encode(tail, 'escape'), reserved)
        FROM roost.uploads
    ),
    '5 de 10',
    'after these refusals it is as it was'
);
SELECT is(
    pg_temp.ask('joan', pg_temp.appending(made.id, 5, 'defghij', '')), '10', 'the tail goes along'
)
FROM made;
SELECT is(
    encode(pg_temp.ask('joan', format('roost.read_upload(%L, 0, 99)', made.id))::bytea, 'escape'),
    'abcdefghij', 'what arrived can be read'
)
FROM made;
SELECT is(
    pg_temp.ask(
        'joan',
        format('outcome ->> ''outcome'' FROM roost.finish_upload(%L, sha256(''abcdefghij''))', id)
    ),
    'created', 'and is a file'
)
FROM made;
SELECT is(
    pg_temp.ask(
        'joan', format('outcome ->> ''outcome'' FROM roost.finish_upload(%L, ''x'')', id)
    ),
    'created', 'once'
)
FROM made;
SELECT results_eq(
    $$
        SELECT content.size, encode(content.hash, 'hex'), piece.from_byte, piece.size
        FROM roost.file_contents AS content
        JOIN roost.content_chunks AS piece ON piece.content_id = content.id
        ORDER BY piece.from_byte
    $$,
    $$
        SELECT 10::bigint, encode(sha256('abcdefghij'), 'hex'), listed.from_byte, listed.size
        FROM (VALUES (0::bigint, 3), (3, 7)) AS listed (from_byte, size)
    $$,
    'the content has its chunks'
);
SELECT is_empty('SELECT FROM roost.upload_chunks', 'which the upload no more has');
SELECT is(pg_temp.used('ada'), 10::bigint, 'what was reserved is stored');
SELECT throws_ok(
    pg_temp.asking('joan', pg_temp.appending(made.id, 10, 'x', '')),
    '23514', NULL, 'nothing comes behind the end'
)
FROM made;

-- Downloads
SELECT is(
    encode(
        pg_temp.ask(
            person.name,
            format('roost.read_content(%L, %s, %s, NULL)', content.id, range.begins, range.ends)
        )::bytea,
        'escape'
    ),
    range.bytes,
    format('%s reads bytes %s to %s', person.name, range.begins, range.ends)
)
FROM roost.file_contents AS content
CROSS JOIN (
    VALUES (0, 10, 'abcdefghij'), (0, 1, 'a'), (2, 4, 'cd'), (3, 10, 'defghij'), (9, 10, 'j')
) AS range (begins, ends, bytes)
CROSS JOIN person
WHERE person.name IN ('ada', 'grace', 'joan');
SELECT is(
    pg_temp.ask(
        'grace', format('roost.read_content(%L, 0, 1, ''{"sent": 1}'')', content.id)
    )::bytea,
    'a'::bytea,
    'a download tells'
)
FROM roost.file_contents AS content;
SELECT is(
    current_setting('roost.touched')
    LIKE '%download.progress%"user_id": "00000000-0000-7000-8000-00000000000b"%',
    true,
    'who reads how far'
);
SELECT is(
    pg_temp.ask(
        'grace',
        format('concat_ws('' '', name, size, version) FROM roost.open_download(%L, %s)', id, v)
    ),
    'a.txt 10 1',
    'what is known of it'
)
FROM roost.file_sync_state
CROSS JOIN (VALUES ('NULL'), ('1')) AS listed (v);
SELECT throws_ok(
    pg_temp.asking('grace', format('roost.open_download(%L, 2)', id)),
    'RO201', NULL, 'there is no second version'
)
FROM roost.file_sync_state;
UPDATE roost.workspace_members SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-00000000000b' AND role = 'viewer';
SELECT throws_ok(
    pg_temp.asking('grace', format('roost.open_download(%L, NULL)', id)),
    'RO201', NULL, 'who has left finds no file'
)
FROM roost.file_sync_state;
SELECT throws_ok(
    pg_temp.asking('grace', format('roost.read_content(%L, 0, 1, NULL)', id)),
    'RO201', NULL, 'and reads no more'
)
FROM roost.file_contents;

-- Links
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.begin_link(%L)', person.id)),
    'roost_user',
    'a link is opened in the name of who made it'
)
FROM person WHERE name = 'ada';
SELECT is(
    current_setting('roost.user_id'), '00000000-0000-7000-8000-00000000000a', 'and in no other'
);
UPDATE roost.users SET status = 'suspended' WHERE email = 'joan@example.com';
SELECT throws_ok(
    calling('roost_gateway', NULL, format('SELECT roost.begin_link(%L)', person.id)),
    'RO103', NULL, 'links of ' || name || ' open nothing'
)
FROM person WHERE name IN ('joan', 'nobody');
UPDATE roost.users SET status = 'active' WHERE email = 'joan@example.com';

-- A length that comes later, and an end
INSERT INTO made SELECT 'deferred', pg_temp.announce('ada', NULL);
SELECT is(
    pg_temp.ask('ada', pg_temp.appending(id, 0, 'abc', 'd')), '4', 'without a length it takes bytes'
)
FROM made WHERE name = 'deferred';
SELECT is(pg_temp.used('ada'), 14::bigint, 'which are counted as they come');
SELECT throws_ok(
    pg_temp.asking('ada', format('roost.set_upload_length(%L, 3)', id)),
    '23514', NULL, 'it is no shorter than what came'
)
FROM made WHERE name = 'deferred';
SELECT is(
    pg_temp.ask('ada', format('reserved FROM roost.set_upload_length(%L, 20)', id)),
    '20', 'its length comes'
)
FROM made WHERE name = 'deferred';
SELECT is(pg_temp.used('ada'), 30::bigint, 'and is reserved');
SELECT is(pg_temp.ask('ada', format('roost.delete_upload(%L)', id)), '', 'it is ended')
FROM made WHERE name = 'deferred';
SELECT is(pg_temp.used('ada'), 10::bigint, 'and gives back what it had');

-- Parts
INSERT INTO made
SELECT part, pg_temp.announce('ada', 2, 'partial', '{}')
FROM (VALUES ('first'), ('second')) AS listed (part);
SELECT is(
    pg_temp.ask('ada', format('outcome FROM roost.finish_upload(%L, ''x'')', id)),
    NULL, 'a part becomes nothing by itself'
)
FROM made WHERE name = 'first';
SELECT is(pg_temp.ask('ada', pg_temp.appending(id, 0, 'ab', '')), '2', 'parts arrive')
FROM made WHERE name = 'first';
SELECT throws_ok(
    pg_temp.asking(
        person,
        format(
            'roost.create_upload(''final'', NULL, '''','
            ' ''{"workspace_id": "$1", "path": "b"}'', %L)',
            parts
        )
    ),
    'RO302', NULL, problem
)
FROM (
    SELECT 'ada', array_agg(id), 'one of these is not complete' FROM made
    WHERE name IN ('first', 'second')
    UNION ALL
    SELECT 'ada', '{}', 'these are none'
    UNION ALL
    SELECT 'ada', ARRAY[id, id], 'these are the same' FROM made WHERE name = 'first'
    UNION ALL
    SELECT 'joan', ARRAY[id], 'this is another''s' FROM made WHERE name = 'first'
) AS refused (person, parts, problem);
SELECT is(pg_temp.ask('ada', pg_temp.appending(id, 0, 'cd', '')), '2', 'to the last')
FROM made WHERE name = 'second';
SELECT is(pg_temp.used('ada'), 14::bigint, 'each reserves its own');
INSERT INTO made
SELECT
    'final',
    pg_temp.announce(
        'ada', NULL, 'final', '{"workspace_id": "$1", "path": "b.txt"}',
        array_agg(id ORDER BY name DESC)
    )
FROM made WHERE name IN ('first', 'second');
SELECT is(pg_temp.used('ada'), 14::bigint, 'what is made of them takes that over');
SELECT throws_ok(
    pg_temp.asking('ada', pg_temp.appending(id, 4, 'x', '')), 'RO703', NULL, 'and takes no bytes'
)
FROM made WHERE name = 'final';
SELECT is(
    encode(pg_temp.ask('ada', format('roost.read_upload(%L, 0, 99)', id))::bytea, 'escape'),
    'cdab', 'it has them in the order named'
)
FROM made WHERE name = 'final';
SELECT is(
    pg_temp.ask(
        'ada',
        format('outcome ->> ''outcome'' FROM roost.finish_upload(%L, sha256(''cdab''))', id)
    ),
    'created', 'and becomes a file'
)
FROM made WHERE name = 'final';
SELECT is(pg_temp.used('ada'), 14::bigint, 'of the same size');

-- Quota
SELECT throws_ok(
    pg_temp.asking('ada', call), sqlstate, NULL, problem
)
FROM (
    VALUES
        (
            'roost.create_upload(''whole'', 268435457, '''','
            ' ''{"workspace_id": "$1", "path": "c"}'', ''{}'')',
            'RO702', 'a file is no larger than the plan allows'
        ),
        (
            'roost.begin_content(''$1'', sha256(''''), 268435457, ''{}'', ''{}'')',
            'RO702', 'nor one of chunks'
        )
) AS refused (call, sqlstate, problem);
UPDATE roost.storage_usage SET bytes = 1073741824 - 5;
SELECT throws_ok(
    pg_temp.asking(
        'joan',
        'roost.create_upload(''whole'', 6, '''', ''{"workspace_id": "$1", "path": "c"}'', ''{}'')'
    ),
    'RO701', NULL, 'there is no room for it'
);
SELECT throws_ok(
    $$ SELECT roost.store_content('00000000-0000-7000-9000-000000000001', '123456') $$,
    'RO701', NULL, 'nor for a text that was merged'
);
SELECT is(pg_temp.used('ada'), 1073741824::bigint - 5, 'nothing was counted');
SELECT isnt(pg_temp.announce('joan', 5), NULL, 'for what fits there is');
UPDATE roost.users SET plan_type = 'pro' WHERE email = 'ada@example.com';
SELECT isnt(pg_temp.announce('joan', 268435457), NULL, 'another plan has more');
DELETE FROM roost.uploads WHERE outcome IS NULL;
UPDATE roost.storage_usage SET bytes = 14;

-- Texts
CREATE TEMPORARY TABLE stored AS
SELECT
    listed.*,
    roost.store_content('00000000-0000-7000-9000-000000000001', bytes::bytea) AS content_id
FROM (
    VALUES
        ('', 0, '', 'an empty text'),
        ('Gr\303\266\303\237e', 7, 'Größe', 'a text'),
        ('Gr\303\266\303\237e', 6, NULL, 'a longer one than asked for'),
        ('\377', 9, NULL, 'no text'),
        ('a\000b', 9, NULL, 'none with a zero byte')
) AS listed (bytes, most, answer, problem);
SELECT is(roost.read_content_text(content_id, most), answer, problem) FROM stored;
SELECT is(roost.read_content_text(NULL, 9), NULL, 'none that is not there');
SELECT is(
    (roost.find_content(('00000000-0000-7000-9000-00000000000' || workspace)::uuid, hash)).size,
    size, problem
)
FROM (
    VALUES
        (1, sha256('\377'), 1::bigint, 'a content is found by its hash'),
        (2, sha256('\377'), NULL, 'in its workspace alone'),
        (1, sha256('none'), NULL, 'and no other')
) AS listed (workspace, hash, size, problem);
SELECT is(
    (
        SELECT string_agg(piece.size::text, ' ' ORDER BY piece.from_byte)
        FROM roost.content_chunks AS piece
        WHERE piece.content_id = roost.store_content(
            '00000000-0000-7000-9000-000000000001', convert_to(repeat('x', 262145), 'UTF8')
        )
    ),
    NULL, 'the statement that stores does not see it'
);
SELECT is(
    (
        SELECT string_agg(piece.size::text, ' ' ORDER BY piece.from_byte)
        FROM roost.content_chunks AS piece
        WHERE piece.content_id = roost.store_content(
            '00000000-0000-7000-9000-000000000001', convert_to(repeat('x', 262145), 'UTF8')
        )
    ),
    '262144 1', 'a longer one is cut, and stored once'
);

-- Chunks
SELECT is(
    pg_temp.ask('joan', format('roost.store_chunks(''$1'', %L, ''{3,2}'', ''onetw'')', named)),
    '', 'chunks are stored'
)
FROM (SELECT ARRAY[sha256('one'), sha256('tw')]) AS listed (named);
SELECT is(
    pg_temp.ask(
        person, format('array_length(api.missing_chunks(%L, %L), 1)', workspace, named)
    ),
    missing, format('of what is missing, %s', person)
)
FROM (
    SELECT ARRAY[
        encode(sha256('one'), 'hex'), encode(sha256('abc'), 'hex'), encode(sha256('z'), 'hex'),
        encode(sha256('z'), 'hex')
    ]
) AS listed (named)
CROSS JOIN (
    VALUES ('ada', '$1', '1'), ('joan', '$1', '1'), ('grace', '$2', '3')
) AS asked (person, workspace, missing);
SELECT is(
    (SELECT count(*) FROM roost.chunk_leases WHERE expires_at > now() + interval '23 hours'),
    3::bigint, 'what is not missing stays for a day'
);
SELECT throws_ok(
    pg_temp.asking('ada', format('api.missing_chunks(''$1'', %L)', named)),
    'RO302', NULL, problem
)
FROM (
    VALUES
        (ARRAY['x'], 'no hash'),
        (ARRAY[upper(encode(sha256('a'), 'hex'))], 'not in lower case'),
        (ARRAY[NULL], 'nothing'),
        (array_fill(encode(sha256('a'), 'hex'), ARRAY[10001]), 'too many'),
        (NULL, 'no list')
) AS refused (named, problem);
SELECT throws_ok(
    pg_temp.asking(
        'ada', format('roost.begin_content(''$1'', %L, %s, %L, %L)', whole, size, named, sizes)
    ),
    sqlstate, NULL, problem
)
FROM (
    VALUES
        (
            sha256('onez'), 4, ARRAY[sha256('one'), sha256('z')], '{3,1}', 'RO705',
            'a chunk is missing'
        ),
        (
            sha256('onetw'), 5, ARRAY[sha256('one'), sha256('tw')], '{2,3}', 'RO706',
            'sizes are wrong'
        ),
        (
            sha256('onetw'), 6, ARRAY[sha256('one'), sha256('tw')], '{3,2}', 'RO706',
            'the sum is wrong'
        )
) AS refused (whole, size, named, sizes, sqlstate, problem);
SELECT is(
    pg_temp.ask(
        'ada',
        format(
            'roost.begin_content(''$1'', %L, 5, %L, ''{3,2}'')', sha256('onetw'),
            ARRAY[sha256('one'), sha256('tw')]
        )
    ),
    NULL, 'a content may be made of what is there'
);
SELECT is(
    encode(
        pg_temp.ask(
            'ada', format('roost.read_chunks(''$1'', %L)', ARRAY[sha256('tw'), sha256('one')])
        )::bytea,
        'escape'
    ),
    'twone', 'which can be read for that'
);
INSERT INTO made
SELECT
    'of chunks',
    pg_temp.ask(
        'ada',
        format(
            'roost.make_content(''$1'', %L, 5, %L, ''{3,2}'')', sha256('onetw'),
            ARRAY[sha256('one'), sha256('tw')]
        )
    )::uuid;
SELECT is(
    pg_temp.ask('joan', call)::uuid, id, 'it is made once'
)
FROM made
CROSS JOIN (
    SELECT format('roost.%s(''$1'', %L, 5, %L, ''{3,2}'')', made_by.name, sha256('onetw'), named)
    FROM (VALUES ('begin_content'), ('make_content')) AS made_by (name)
    CROSS JOIN (VALUES (ARRAY[sha256('one'), sha256('tw')])) AS listed (named)
) AS called (call)
WHERE made.name = 'of chunks';
SELECT is(
    encode(
        pg_temp.ask('joan', format('roost.read_content(%L, 0, 5, NULL)', id))::bytea, 'escape'
    ),
    'onetw', 'and is what it says'
)
FROM made WHERE name = 'of chunks';

-- What is damaged is named
SELECT is_empty(
    'SELECT FROM roost.file_contents CROSS JOIN roost.verify_content(id)', 'all contents are whole'
);
UPDATE roost.file_chunks SET content = 'onf' WHERE hash = sha256('one');
UPDATE roost.content_chunks SET size = 1 WHERE chunk_hash = sha256('tw');
SELECT results_eq(
    $$
        SELECT verified.from_byte, verified.size, verified.problem
        FROM made
        CROSS JOIN roost.verify_content(made.id) AS verified
        WHERE made.name = 'of chunks'
    $$,
    $$ VALUES (0::bigint, 3, 'damaged'), (3, 1, 'size'), (5, 0, 'end') $$,
    'a damaged chunk is named, and another size'
);
DELETE FROM roost.content_chunks WHERE chunk_hash = sha256('one');
SELECT results_eq(
    $$
        SELECT verified.from_byte, verified.problem
        FROM made
        CROSS JOIN roost.verify_content(made.id) AS verified
        WHERE made.name = 'of chunks'
    $$,
    $$ VALUES (3::bigint, 'size'), (5, 'end') $$,
    'the first problem of a chunk is named'
);
UPDATE roost.content_chunks SET size = 2 WHERE chunk_hash = sha256('tw');
SELECT results_eq(
    $$
        SELECT verified.from_byte, verified.problem
        FROM made
        CROSS JOIN roost.verify_content(made.id) AS verified
        WHERE made.name = 'of chunks'
    $$,
    $$ VALUES (3::bigint, 'gap') $$,
    'a gap is named'
);

-- What goes
SELECT is(
    (SELECT count(*) FROM roost.file_chunks WHERE hash = sha256('abc')), 1::bigint,
    'before the collector'
);
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.%s(1000)', name)), '0',
    format('%s has nothing more to do', name)
)
FROM (
    VALUES
        ('expire_uploads'), ('expire_chunk_leases'), ('expire_content_leases'), ('collect_chunks')
) AS job (name);
SELECT is(
    (
        SELECT count(*) FROM roost.file_chunks
        WHERE hash IN (sha256('abc'), sha256('one'), sha256('tw'))
    ),
    3::bigint, 'what something refers to stays'
);
SELECT is_empty('SELECT FROM roost.unused_chunks', 'and is looked at once');
UPDATE roost.chunk_leases SET expires_at = now();
UPDATE roost.content_leases SET expires_at = now();
INSERT INTO roost.content_leases (content_id, expires_at)
SELECT content_id, now() FROM roost.file_sync_state WHERE name = 'a.txt';
UPDATE roost.uploads SET expires_at = now();
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.%s(1)', name)), '1',
    format('%s has more to do', name)
)
FROM (
    VALUES ('expire_uploads'), ('expire_chunk_leases'), ('expire_content_leases')
) AS job (name);
SELECT is(
    as_caller('roost_gateway', NULL, format('SELECT roost.%s(1000)', name)), '0',
    format('%s has done all', name)
)
FROM (
    VALUES ('expire_uploads'), ('expire_chunk_leases'), ('expire_content_leases')
) AS job (name);
SELECT is_empty('SELECT FROM roost.uploads', 'no upload is left');
SELECT is_empty(
    'SELECT FROM roost.file_contents JOIN made USING (id)', 'nor a content that no file has taken'
);
SELECT is(
    (SELECT count(*) FROM roost.file_contents JOIN roost.file_sync_state AS f ON f.content_id
    = file_contents.id),
    2::bigint, 'those of files are'
);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.collect_chunks(1)'), '1',
    'chunks are collected in pieces'
);
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.collect_chunks(1000)'), '0', 'to the last'
);
SELECT is_empty(
    $$
        SELECT FROM roost.file_chunks AS chunk
        WHERE NOT EXISTS (
            SELECT FROM roost.content_chunks AS piece WHERE piece.chunk_hash = chunk.hash
        )
    $$,
    'no chunk is left that nothing refers to'
);
SELECT is_empty('SELECT FROM roost.unused_chunks', 'and none is to be looked at');
SELECT is(
    pg_temp.used('ada'),
    (SELECT sum(size)::bigint FROM roost.file_contents), 'what is counted is what is stored'
);

-- What is under way
UPDATE roost.workspace_members SET left_at = NULL;
SELECT throws_ok(
    pg_temp.asking(refused.person, refused.call), refused.sqlstate, NULL,
    format('%s: %s', refused.person, refused.call)
)
FROM (
    VALUES
        ('ada', 'api.list_uploads(''$2'')', 'RO201'),
        ('ada', 'api.list_uploads(NULL)', 'RO201'),
        ('ada', 'api.list_uploads(''$1'', 0)', 'RO302'),
        ('ada', 'api.list_uploads(''$1'', 201)', 'RO302')
) AS refused (person, call, sqlstate);
SELECT is(
    pg_temp.ask('ada', 'kind FROM api.make_folder(''$1'', ''folder/in'')'), 'folder', 'a folder'
);
SELECT throws_ok(
    pg_temp.asking(
        'ada',
        format(
            'roost.create_upload(''whole'', 1, '''', %L, ''{}'')',
            json_build_object('workspace_id', '$1', 'path', sent.path)
        )
    ),
    sent.sqlstate, NULL, format('%s is refused before any byte', sent.path)
)
FROM (
    VALUES
        ('../a', 'RO302'), ('/a', 'RO302'), ('CON', 'RO302'), ('a/', 'RO302'), ('', 'RO302'),
        ('folder', 'RO301'), ('folder/in', 'RO301')
) AS sent (path, sqlstate);
SELECT is_empty('SELECT FROM roost.uploads', 'nothing came of that');
SELECT is(
    pg_temp.ask('joan', 'sync_status FROM api.get_file(workspace_id => ''$1'', path => ''a.txt'')'),
    'synced', 'nothing is on its way to it'
);
CREATE FUNCTION pg_temp.statuses()
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(
        ', ',
        pg_temp.ask(
            'grace',
            'sync_status FROM api.get_file(workspace_id => ''$1'', path => ''a.txt'')'
        ),
        pg_temp.ask(
            'grace',
            'string_agg(sync_status::text, '' '' ORDER BY path) FROM api.list_files(''$1'')'
            ' WHERE path IN (''a.txt'', ''folder'')'
        ),
        pg_temp.ask(
            'grace',
            'string_agg(sync_status::text, '' '' ORDER BY path) FROM'
            ' api.list_files(''$1'', prefix => '''') WHERE path IN (''a.txt'', ''folder'')'
        ),
        pg_temp.ask(
            'grace',
            'string_agg(sync_status::text, '' '' ORDER BY path) FROM'
            ' api.list_files(''$1'', changed_since => 0) WHERE path IN (''a.txt'', ''folder'')'
        )
    );
$$;
CREATE TEMPORARY TABLE before AS
SELECT realtime.last_offset('workspace:' || pg_temp.with_ids('$1')) AS told;
INSERT INTO made SELECT 'under way', pg_temp.announce('joan', 5);
SELECT is(
    pg_temp.statuses(), 'pending, pending synced, pending synced, pending synced',
    'an upload was announced'
);
SELECT is(
    pg_temp.ask('joan', pg_temp.appending(made.id, 0, 'abc', 'd')), '4', 'bytes of it arrive'
)
FROM made WHERE name = 'under way';
SELECT is(
    pg_temp.statuses(), 'syncing, syncing synced, syncing synced, syncing synced',
    'it is on its way'
);
INSERT INTO made SELECT 'beside it', pg_temp.announce('ada', 7);
INSERT INTO made
SELECT 'a part', pg_temp.announce('ada', 1, 'partial', '{"workspace_id": "$1", "path": "part"}');
INSERT INTO made
SELECT 'elsewhere', pg_temp.announce(
    'ada', NULL, 'whole', U&'{"workspace_id": "$1", "path": "u\0308"}'
);
SELECT is(
    pg_temp.ask(
        'grace',
        'string_agg(concat_ws('' '', path, received, coalesce(length::text, ''?''),'
        ' right(user_id::text, 1), expires_at > created_at), '', '' ORDER BY id)'
        ' FROM api.list_uploads(''$1'')'
    ),
    U&'a.txt 4 5 c t, a.txt 0 7 a t, \00FC 0 ? a t', 'members see what is under way'
);
SELECT is(
    pg_temp.ask(
        'grace',
        format('string_agg(path, '' '') FROM api.list_uploads(''$1'', 1, %L)', made.id)
    ),
    'a.txt', 'page by page'
)
FROM made WHERE name = 'under way';
SELECT is(
    pg_temp.ask('joan', format('roost.delete_upload(%L)', made.id)), '',
    'one is ended'
)
FROM made WHERE name = 'under way';
SELECT is(
    pg_temp.statuses(), 'pending, pending synced, pending synced, pending synced',
    'the other one is not'
);
UPDATE roost.file_sync_state SET sync_status = 'conflict' WHERE name = 'a.txt';
SELECT is(
    pg_temp.statuses(), 'conflict, conflict synced, conflict synced, conflict synced',
    'a conflict says more'
);
UPDATE roost.file_sync_state SET sync_status = 'synced' WHERE name = 'a.txt';
UPDATE roost.uploads SET expires_at = now() WHERE path = 'a.txt';
SELECT is(
    pg_temp.statuses(), 'synced, synced synced, synced synced, synced synced',
    'one that has expired counts no more'
);
SELECT is(
    pg_temp.ask('grace', 'string_agg(path, '' '') FROM api.list_uploads(''$1'')'),
    U&'\00FC', 'nor is it listed'
);
INSERT INTO made SELECT 'empty', pg_temp.announce('joan', 0);
SELECT is(pg_temp.statuses() LIKE 'pending, %', true, 'the last one');
SELECT is(
    pg_temp.ask(
        'joan',
        format('outcome ->> ''outcome'' FROM roost.finish_upload(%L, sha256(''''))', made.id)
    ),
    'updated', 'is complete'
)
FROM made WHERE name = 'empty';
SELECT is(
    pg_temp.statuses(), 'synced, synced synced, synced synced, synced synced', 'and over'
);
SELECT is(
    (
        SELECT string_agg(event.event || ' ' || (event.payload ->> 'sync_status'), ', ')
        FROM realtime.events AS event
        CROSS JOIN before
        WHERE event.topic = pg_temp.with_ids('workspace:$1') AND event.event_offset > before.told
    ),
    'file.updated synced', 'of which nothing is told that is kept'
);
INSERT INTO made
SELECT 'another', pg_temp.announce(
    'joan', 0, 'whole',
    '{"workspace_id": "$1", "path": "a.txt", "base_version": "2",'
    ' "file_id": "00000000-0000-7000-9000-0000000000ff", "conflict_policy": "server_wins"}'
);
UPDATE roost.file_sync_state SET hash = sha256('x') WHERE name = 'a.txt';
SELECT throws_ok(
    pg_temp.asking('joan', format('roost.finish_upload(%L, sha256(''''))', made.id)),
    'RO303', NULL, 'an upload says which file it is based on'
)
FROM made WHERE name = 'another';
SELECT is(
    as_caller('roost_user', person.id, format('SELECT roost.delete_upload(%L)', made.id)),
    '', format('%s goes', made.name)
)
FROM made
JOIN roost.uploads AS upload ON upload.id = made.id AND upload.expires_at > now()
JOIN person ON person.id = upload.user_id
WHERE upload.outcome IS NULL;
DELETE FROM roost.file_sync_state;
DELETE FROM roost.workspaces WHERE path = '/n';
SELECT is(pg_temp.used('ada'), 0::bigint, 'with the workspace all of it goes');
SELECT is(
    as_caller('roost_gateway', NULL, 'SELECT roost.collect_chunks(1000)'), '0', 'chunks go as well'
);
SELECT is_empty('SELECT FROM roost.file_chunks', 'to the last one');
SELECT lives_ok('DELETE FROM roost.users', 'people go with what they have');
SELECT is_empty('SELECT FROM roost.storage_usage', 'and what they stored');

SELECT * FROM finish();

ROLLBACK;

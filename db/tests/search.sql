-- Search: what is found by what, by whom, and from when to when.
BEGIN;

SELECT plan(243);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000c', 'outsider@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000d', 'viewer@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000da',
    '00000000-0000-7000-8000-0000000000ea'
);
INSERT INTO roost.conversations (id, user_id, search_language)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'simple'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'english'
);
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
VALUES
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000a', 'owner'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000b', 'member'
),
(
    '00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-00000000000d', 'viewer'
),
(
    '00000000-0000-7000-9000-000000000002', '00000000-0000-7000-8000-00000000000a', 'owner'
);

-- What a person finds: the seq of each message, in order, and how many there are.
CREATE FUNCTION pg_temp.found(p_user_id text, p_arguments text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT as_caller(
        'roost_user', p_user_id::uuid,
        format(
            $query$
                SELECT concat(
                    (
                        SELECT string_agg(
                            hit.value -> 'message' ->> 'seq', ','
                            ORDER BY (hit.value -> 'message' ->> 'seq')::bigint
                        )
                        FROM json_array_elements(search.answer -> 'results') AS hit (value)
                    ),
                    ' of ', search.answer ->> 'total', search.answer ->> 'corrections'
                )
                FROM (SELECT api.search_messages(%s)) AS search (answer)
            $query$,
            p_arguments
        )
    );
$$;

-- The id of a message of the first conversation.
CREATE FUNCTION pg_temp.message_id(p_seq bigint)
RETURNS uuid
LANGUAGE sql
AS $$
    SELECT message.id
    FROM roost.messages AS message
    WHERE message.conversation_id = '00000000-0000-7000-9000-000000000001'
        AND message.seq = p_seq;
$$;

CREATE FUNCTION pg_temp.say(p_text text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', %L)',
            jsonb_build_object('text', p_text)
        )
    );
$$;

-- Who may
SELECT throws_ok(
    calling(
        caller.role, caller.id::uuid,
        'SELECT api.search_messages(''x'', ''00000000-0000-7000-9000-000000000001'')'
    ),
    caller.sqlstate,
    NULL,
    caller.name || ' may not search a conversation'
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000c', 'RO201', 'an outsider')
) AS caller (role, id, sqlstate, name);
SELECT throws_ok(
    calling('roost_user', NULL, 'SELECT api.search_messages(''x'')'),
    'RO101',
    NULL,
    'nobody may not search everything'
);

-- What is found by what
SELECT pg_temp.say(message.text)
FROM (
    VALUES
    (1, 'Hello world, the deployment was running fine'),
    (2, 'call getUserName() and parseHTTPHeader in src/lib/users.ts v1.2.3'),
    (3, 'Crème brûlée à la carte'),
    (4, '東京都庁に行きましたが、楽しかった'),
    (5, '안녕하세요 여러분'),
    (6, 'snake_case_name, kebab-case and CONSTANT_CASE'),
    (7, 'ﬁne œuvre, straße, ÅNGSTRÖM ½'),
    (8, 'mail bob@example.com or see https://example.com/a/b?c=d#e'),
    (9, E'tabs\tand\nlines \u0001 and \ue000private\ue001 use'),
    (10, 'Ещё раз: Привет')
) AS message (seq, text)
ORDER BY message.seq;
SELECT is(
    pg_temp.found(
        '00000000-0000-7000-8000-00000000000a', format('%L', wanted.query)
    ),
    wanted.answer,
    format('query: %s', wanted.query)
)
FROM (
    VALUES
    ('hello', '1 of 1'),
    ('HELLO World', '1 of 1'),
    ('hello nobody', ' of 0'),
    ('hello OR brulee', '1,3 of 2'),
    ('or hello or or brulee or', '1,3 of 2'),
    ('"the deployment"', '1 of 1'),
    ('"deployment the"', ' of 0'),
    ('"hello world', '1 of 1'),
    ('and -lines', '2,6 of 2'),
    ('and -"and lines"', '2,6 of 2'),
    ('-hello brulee', '3 of 1'),
    ('hello -world', ' of 0'),
    ('deploy*', '1 of 1'),
    ('deploy', ' of 0'),
    ('hel* worl*', '1 of 1'),
    ('getUserName', '2 of 1'),
    ('getusername', '2 of 1'),
    ('user', '2 of 1'),
    ('userName', '2 of 1'),
    ('name', '2,6 of 2'),
    ('http header', '2 of 1'),
    ('users.ts', '2 of 1'),
    ('lib/users', '2 of 1'),
    ('src/users', ' of 0'),
    ('1.2.3', '2 of 1'),
    ('v1.2', '2 of 1'),
    ('2.1', ' of 0'),
    ('snake', '6 of 1'),
    ('case', '6 of 1'),
    ('snake_case', '6 of 1'),
    ('case_name', '6 of 1'),
    ('constant', '6 of 1'),
    ('creme BRULEE', '3 of 1'),
    ('brûl*', '3 of 1'),
    ('strasse', '7 of 1'),
    ('angstrom', '7 of 1'),
    ('fine', '1,7 of 2'),
    ('oeuvre', '7 of 1'),
    ('東京', '4 of 1'),
    ('京都', '4 of 1'),
    ('都', '4 of 1'),
    ('庁', '4 of 1'),
    ('行きました', '4 of 1'),
    ('東都', ' of 0'),
    ('"東京都庁"', '4 of 1'),
    ('東京 楽しかった', '4 of 1'),
    ('안녕', '5 of 1'),
    ('여러분', '5 of 1'),
    ('привет', '10 of 1'),
    ('еще', '10 of 1'),
    ('bob@example.com', '8 of 1'),
    ('example.com', '8 of 1'),
    ('a/b?c=d', '8 of 1'),
    ('private', '9 of 1'),
    ('stext', ' of 0')
) AS wanted (query, answer);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.search_messages(%s)', refused.arguments)
    ),
    refused.sqlstate,
    NULL,
    'refused: ' || left(refused.arguments, 60)
)
FROM (
    VALUES
    ('', 'RO302'),
    ('NULL', 'RO302'),
    ('''-hello''', 'RO302'),
    ('''hello or -world''', NULL),
    ('''"" * - ? !''', 'RO302'),
    ('repeat(''x'', 1001)', 'RO302'),
    ('repeat(''x '', 65)', 'RO302'),
    ('''hello'' || repeat('' -"x y"'', 64)', 'RO302'),
    ('''x'', page_size => 0', 'RO302'),
    ('''x'', message_type => E''a\\\\b''', 'RO302'),
    ('''x'', cursor => ''x''', 'RO302'),
    ('''x'', cursor => ''e30=''', 'RO302'),
    ('''x'', cursor => encode(''{"place": "x"}'', ''base64'')', 'RO302'),
    ('''x'', cursor => ''/w==''', 'RO302'),
    ('''x'', cursor => encode(repeat(''['', 7000)::bytea, ''base64'')', 'RO302'),
    ('''x'', cursor => encode(repeat(''['', 50000)::bytea, ''base64'')', 'RO302')
) AS refused (arguments, sqlstate)
WHERE refused.sqlstate IS NOT NULL;
SELECT is(
    pg_temp.found(
        '00000000-0000-7000-8000-00000000000a', '''hello'' || repeat('' or world'', 63)'
    ),
    '1 of 1',
    'a query may have 64 words'
);
-- What takes the most room in a cursor.
SELECT is(
    roost.read_search_cursor(
        roost.write_search_cursor(
            'x' || repeat(E'\u0001', 999), 1700000000.123456, '1000+', 1000000000000,
            0.12345678901234567, '2026-01-01', '00000000-0000-7000-9000-000000000001',
            1000000000000
        )
    ) IS NULL,
    false,
    'the cursor of any query can be read'
);
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000c', '''hello'''),
    ' of 0',
    'an outsider finds nothing'
);
SELECT is(
    pg_temp.found(
        '00000000-0000-7000-8000-00000000000d',
        '''hello'', ''00000000-0000-7000-9000-000000000001'''
    ),
    '1 of 1',
    'a viewer finds'
);
SELECT is(
    pg_temp.found(
        '00000000-0000-7000-8000-00000000000a',
        '''hello'', ''00000000-0000-7000-9000-000000000002'''
    ),
    ' of 0',
    'nothing of another conversation'
);

-- Words that were typed wrongly
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000a', format('%L', typed.query)),
    typed.answer,
    'typed wrongly: ' || typed.query
)
FROM (
    VALUES
    ('deploymnet', '1 of 1{"deploymnet": "deployment"}'),
    ('Helo wrold', ' of 0'),
    ('hello deploymnet', '1 of 1{"deploymnet": "deployment"}'),
    ('"deploymnet"', ' of 0'),
    ('qqqqqqqq', ' of 0')
) AS typed (query, answer);
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000c', '''deploymnet'''),
    ' of 0',
    'an outsider learns no words'
);

-- Languages
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT api.send_message(
            '00000000-0000-7000-9000-000000000002', '{"text": "The foxes were jumping"}') $$
    ),
    'a message in English'
);
SELECT is(
    pg_temp.found(
        '00000000-0000-7000-8000-00000000000a', format('%L', wanted.query)
    ),
    wanted.answer,
    format('in English: %s', wanted.query)
)
FROM (
    VALUES
    ('fox', '1 of 1'),
    ('jumped', '1 of 1'),
    ('"jumped"', ' of 0'),
    ('the', '1,1 of 2'),
    ('runs', ' of 0')
) AS wanted (query, answer);

-- Highlights
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            $$
                SELECT concat(
                    translate(hit.value ->> 'snippet', U&'\E000\E001', '[]'),
                    ' ',
                    (
                        SELECT string_agg(
                            concat(
                                mark.value ->> 'field', ':', mark.value ->> 'start', '+',
                                mark.value ->> 'length'
                            ),
                            ' '
                        )
                        FROM json_array_elements(hit.value -> 'highlights') AS mark (value)
                    )
                )
                FROM json_array_elements(api.search_messages(%L) -> 'results') AS hit (value)
            $$,
            shown.query
        )
    ),
    shown.answer,
    'highlights: ' || shown.query
)
FROM (
    VALUES
    ('world', 'Hello [world], the deployment was running fine text:6+5'),
    ('"world the"', 'Hello [world, the] deployment was running fine text:6+10'),
    ('deploy*', 'Hello world, the [deployment] was running fine text:17+10'),
    (
        'getUserName user',
        'call [getUserName]() and parseHTTPHeader in src/lib/[users].ts v1.2.3 text:5+11 text:50+5'
    ),
    ('brulee', 'Crème [brûlée] à la carte text:6+6'),
    ('京都', '東[京都]庁に行きましたが、楽しかった text:1+2'),
    ('case_name', 'snake_[case_name], kebab-case and CONSTANT_CASE text:6+9'),
    ('oeuvre strasse', 'ﬁne [œuvre], [straße], ÅNGSTRÖM ½ text:4+5 text:11+6'),
    ('1.2.3', 'call getUserName() and parseHTTPHeader in src/lib/users.ts v[1.2.3] text:60+5'),
    ('jumps', 'The foxes were [jumping] text:15+7')
) AS shown (query, answer);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT translate(
            api.search_messages('private') -> 'results' -> 0 ->> 'snippet', U&'\E000\E001', '[]'
        ) $$
    ),
    E'tabs\tand\nlines \u0001 and \ufffd[private]\ufffd use',
    'what marks a match is taken out of the text'
);

SELECT is(
    roost.highlight_pattern(
        '[{"words": "jumps"}, {"words": "jumps"}, {"words": "jumping"}]', '{english,english}'
    ),
    roost.highlight_pattern('[{"words": "jumps"}, {"words": "jumping"}]', '{english}'),
    'what is the same is looked for once'
);
SELECT is(
    roost.highlight_pattern(
        (
            SELECT jsonb_agg(jsonb_build_object('words', 'w' || step.number) ORDER BY step.number)
            FROM generate_series(1, 64) AS step (number)
        ),
        '{}'
    ),
    roost.highlight_pattern(
        (
            SELECT jsonb_agg(jsonb_build_object('words', 'w' || step.number) ORDER BY step.number)
            FROM generate_series(1, 32) AS step (number)
        ),
        '{}'
    ),
    'the first 32 words are highlighted'
);
SELECT is(
    roost.highlight_pattern(
        jsonb_build_array(jsonb_build_object('words', repeat('a b ', 20), 'is_exact', true)), '{}'
    ),
    roost.highlight_pattern(
        jsonb_build_array(jsonb_build_object('words', btrim(repeat('a b ', 8)), 'is_exact', true)),
        '{}'
    ),
    'and of a phrase the first 16'
);
SELECT is(
    roost.highlight_message('{"one": "a", "two": "b"}', '[]', '((', 'a', '{}')::text,
    '([],a)',
    'a pattern that can''t be compiled costs the highlights alone'
);
SELECT is(
    json_array_length(
        (
            roost.highlight_message(
                (SELECT jsonb_agg('heron'::text) FROM generate_series(1, 1000)), '[]', '(heron)',
                'heron', '{}'
            )
        ).o_highlights::json
    ),
    200,
    'of many short texts the first 200 are looked at'
);
SELECT is(
    (
        roost.highlight_message(
            (repeat('[', deep.levels) || '"heron"' || repeat(']', deep.levels))::jsonb, '[]',
            '(heron)', 'heron', '{}'
        )
    ).o_snippet,
    deep.snippet,
    format('%s levels down', deep.levels)
)
FROM (VALUES (100, E'\ue000heron\ue001'), (101, '')) AS deep (levels, snippet);

-- Texts and queries, without a conversation
SELECT is(
    translate(
        (
            roost.highlight_message(
                jsonb_build_object('text', shown.text),
                '[]',
                roost.highlight_pattern(parsed.o_terms, '{}'),
                parsed.o_positive,
                '{}'
            )
        ).o_snippet,
        U&'\E000\E001',
        '[]'
    ),
    shown.answer,
    format('%s in %s', shown.query, shown.text)
)
FROM (
    VALUES
    ('PostgreSQL', '使用PostgreSQL数据库', '使用[PostgreSQL]数据库'),
    ('数据', '使用PostgreSQL数据库', '使用PostgreSQL[数据]库'),
    ('rust*', 'Rustaceanで書く', '[Rustacean]で書く'),
    ('2', '第2章', '第[2]章'),
    ('"hello world"', 'hello你好world', 'hello你好world'),
    ('great', 'great👍🏽', '[great]👍🏽'),
    ('👍great', '👍 great', '👍 [great]'),
    ('tail', 'ﬂow ㄱㅏㄱ tail', 'ﬂow ㄱㅏㄱ [tail]'),
    ('ㄱㅏㄱ', 'ﬂow ㄱㅏㄱ tail', 'ﬂow [ㄱㅏㄱ] tail'),
    ('', 'no ﬂow', 'no ﬂow'),
    ('👍🏽', 'a oﬃce ﬂow 👍🏽', 'a oﬃce ﬂow 👍🏽')
) AS shown (query, text, answer)
CROSS JOIN LATERAL roost.parse_search_query(shown.query, '{}') AS parsed;
SELECT is(
    (roost.highlight_message('{"text": "ﬂow"}', '[]', NULL, NULL, '{}')).o_highlights::text,
    '[]',
    'without words nothing is highlighted'
);

-- Nested content, attachments, and long text
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT api.send_message(
            '00000000-0000-7000-9000-000000000001',
            jsonb_build_object(
                'steps', '[{"note": "first pelican"}, {"note": "second heron"}]'::jsonb,
                'long', repeat('filler ', 30) || 'needle ' || repeat('filler ', 60)
            ),
            message_type => 'app.plan'
        ) $$
    ),
    'a message of an application'
);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000b',
        $$ SELECT api.send_message(
            '00000000-0000-7000-9000-000000000001', '{"text": "hello, see this"}',
            attachments => '[{"name": "quarterly-report.pdf", "media_type": "application/pdf",
                "size": 3, "url": "https://example.com/x"}]'
        ) $$
    ),
    'a message with an attachment'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.search_messages(%L) #>> ''{results,0,highlights,0,field}''',
            shown.query
        )
    ),
    shown.field,
    'found in ' || shown.field
)
FROM (
    VALUES
    ('heron', 'steps.1.note'),
    ('needle', 'long'),
    ('quarterly', 'attachments.0.name')
) AS shown (query, field);
SELECT matches(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        $$ SELECT translate(
            api.search_messages('needle') -> 'results' -> 0 ->> 'snippet', U&'\E000\E001', '[]'
        ) $$
    ),
    '^…(filler ){4,9}\[needle\]( filler)+.*…$',
    'a snippet is what is around the match'
);

-- Filters
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000a', filter.arguments),
    filter.answer,
    'filter: ' || filter.arguments
)
FROM (
    VALUES
    ('''hello''', '1,12 of 2'),
    ('''hello'', user_id => ''00000000-0000-7000-8000-00000000000b''', '12 of 1'),
    ('''hello'', user_id => ''00000000-0000-7000-8000-00000000000c''', ' of 0'),
    ('''pelican'', message_type => ''app.plan''', '11 of 1'),
    ('''pelican'', message_type => ''text''', ' of 0'),
    ('''hello'', has_attachment => true', '12 of 1'),
    ('''hello'', has_attachment => false', '1 of 1'),
    ('''hello'', sent_after => now()', '1,12 of 2'),
    ('''hello'', sent_after => now() + interval ''1 second''', ' of 0'),
    ('''hello'', sent_before => now()', ' of 0'),
    ('''hello'', sent_before => now() + interval ''1 second''', '1,12 of 2'),
    ('''hello'', root_message_id => gen_random_uuid()', ' of 0')
) AS filter (arguments, answer);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(%L, ''{"text": "hello to you"}'', parent_message_id => %L)',
            '00000000-0000-7000-9000-000000000001', pg_temp.message_id(1)
        )
    ),
    'a reply'
);
SELECT is(
    pg_temp.found(
        '00000000-0000-7000-8000-00000000000a',
        format(
            '''hello'', root_message_id => %L',
            pg_temp.message_id(1)
        )
    ),
    '1,13 of 2',
    'a thread with the message that began it'
);

SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.send_message(%L, ''{"text": "one more"}'', parent_message_id => %L)',
            '00000000-0000-7000-9000-000000000001', pg_temp.message_id(1)
        )
    ),
    'a second reply'
);

-- Pages
INSERT INTO roost.messages (conversation_id, seq, user_id, content, created_at)
SELECT
    '00000000-0000-7000-9000-000000000002', 100 + step.number,
    '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object('text', repeat('osprey ', 1 + step.number % 3)),
    now() - step.number % 5 * interval '1 day'
FROM generate_series(1, 25) AS step (number);
CREATE FUNCTION pg_temp.pages(p_arguments text)
RETURNS TABLE (page bigint, seq bigint, rank float8, total text)
LANGUAGE plpgsql
AS $$
DECLARE
    v_answer json;
    v_cursor text;
    v_page bigint := 0;
BEGIN
    LOOP
        v_page := v_page + 1;
        v_answer := as_caller(
            'roost_user', '00000000-0000-7000-8000-00000000000a',
            format('SELECT api.search_messages(%s, cursor => %L)', p_arguments, v_cursor)
        );
        RETURN QUERY
        SELECT
            v_page, (hit.value -> 'message' ->> 'seq')::bigint, (hit.value ->> 'rank')::float8,
            v_answer ->> 'total'
        FROM json_array_elements(v_answer -> 'results') AS hit (value);
        v_cursor := v_answer ->> 'next';
        EXIT WHEN v_cursor IS NULL OR v_page > 100;
    END LOOP;
END;
$$;
CREATE TEMPORARY TABLE paged AS SELECT * FROM pg_temp.pages('''osprey'', page_size => 4');
SELECT results_eq(
    'SELECT page, count(*) FROM paged GROUP BY page ORDER BY page',
    'VALUES (1::bigint, 4::bigint), (2, 4), (3, 4), (4, 4), (5, 4), (6, 4), (7, 1)',
    'pages are full but for the last'
);
SELECT results_eq(
    'SELECT DISTINCT seq FROM paged ORDER BY seq',
    'SELECT generate_series(101, 125)::bigint',
    'and have everything, once'
);
SELECT is(
    (SELECT string_agg(DISTINCT total, ' ') FROM paged), '25', 'each says how many there are'
);
SELECT is(
    (SELECT string_agg(seq::text, ',') FROM pg_temp.pages('''osprey'', page_size => 200')),
    (SELECT string_agg(seq::text, ',') FROM paged),
    'in the same order as on one page'
);
SELECT cmp_ok(
    (SELECT rank FROM paged WHERE seq = 105), '>', (SELECT rank FROM paged WHERE seq = 108),
    'the newer of two that match alike comes first'
);
SELECT cmp_ok(
    (SELECT rank FROM paged WHERE seq = 105), '>', (SELECT rank FROM paged WHERE seq = 115),
    'and of two of one day the one that matches better'
);

-- Large messages end a page early
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000002', 200 + step.number,
    '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object('text', 'albatross ' || repeat('x', 250000))
FROM generate_series(1, 20) AS step (number);
SELECT results_eq(
    $$ SELECT page, count(*) FROM pg_temp.pages('''albatross''') GROUP BY page ORDER BY page $$,
    'VALUES (1::bigint, 17::bigint), (2, 3)',
    'a page has at most some 4 MiB of content'
);

-- Hidden at once
CREATE FUNCTION pg_temp.ask(p_user_id uuid, p_function text, p_seq bigint, p_more text DEFAULT '')
RETURNS text
LANGUAGE sql
AS $$
    SELECT as_caller(
        'roost_user', p_user_id,
        format('SELECT (api.%s(%L%s)).seq', p_function, pg_temp.message_id(p_seq), p_more)
    );
$$;
SELECT is(
    concat(
        pg_temp.ask('00000000-0000-7000-8000-00000000000a', changed.function, 3, changed.more),
        '; ',
        pg_temp.found('00000000-0000-7000-8000-00000000000b', format('%L', changed.query))
    ),
    '3; ' || changed.answer,
    format('%s: %s', changed.function, changed.query)
)
FROM (
    VALUES
    (1, 'get_message', '', 'brulee', '3 of 1'),
    (2, 'edit_message', ', ''{"text": "Tarte Tatin"}'', 1', 'brulee', ' of 0'),
    (3, 'get_message', '', 'tatin', '3 of 1'),
    (4, 'delete_message', '', 'tatin', ' of 0'),
    (5, 'restore_message', '', 'tatin', '3 of 1'),
    (6, 'delete_message', '', 'tatin', ' of 0'),
    (7, 'purge_message', '', 'tatin', ' of 0')
) AS changed (step, function, more, query, answer);
SELECT is_empty(
    $$
        SELECT FROM roost.message_search_index AS indexed
        WHERE indexed.conversation_id = '00000000-0000-7000-9000-000000000001' AND indexed.seq = 3
    $$,
    'nothing of it is left in the index'
);
UPDATE roost.conversation_participants
SET history_after_seq = 1
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000b', '''hello'''),
    '12,13 of 2',
    'whoever was added later does not find what was before'
);
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000b', '''deploymnet'''),
    ' of 0',
    'nor learns its words'
);
UPDATE roost.conversation_participants
SET left_at = now()
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000b', '''hello'''),
    ' of 0',
    'whoever has left finds nothing'
);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.delete_conversation(''00000000-0000-7000-9000-000000000001'')'
    ),
    'a conversation is deleted'
);
SELECT is(
    pg_temp.found(hidden.from_user, '''hello'''),
    ' of 0',
    'nobody finds anything in it'
)
FROM (
    VALUES ('00000000-0000-7000-8000-00000000000a'), ('00000000-0000-7000-8000-00000000000d')
) AS hidden (from_user);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        'SELECT api.restore_conversation(''00000000-0000-7000-9000-000000000001'')'
    ),
    'and restored'
);
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000d', '''hello'''),
    '1,12,13 of 3',
    'then they do'
);

-- The job
DELETE FROM roost.message_search_index;
INSERT INTO roost.search_queue (conversation_id, before_seq)
VALUES ('00000000-0000-7000-9000-000000000001', 14), (gen_random_uuid(), 9);
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000d', '''hello'''), ' of 0', 'nothing is there'
);
CREATE FUNCTION pg_temp.wait()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_catalog.pg_sleep(0.6);
    RETURN NEW;
END;
$$;
CREATE TRIGGER slow BEFORE INSERT ON roost.message_search_index
FOR EACH ROW EXECUTE FUNCTION pg_temp.wait();
SELECT is(roost.index_messages(200), 1::bigint, 'messages that take long to index');
SELECT is(
    (
        SELECT queued.before_seq FROM roost.search_queue AS queued
        WHERE queued.conversation_id = '00000000-0000-7000-9000-000000000001'
    ),
    last.seq,
    'end a call early, which has moved on'
)
FROM (
    SELECT max(message.seq) AS seq FROM roost.messages AS message
    WHERE message.conversation_id = '00000000-0000-7000-9000-000000000001' AND message.seq < 14
) AS last;
DROP TRIGGER slow ON roost.message_search_index;
DELETE FROM roost.message_search_index;
UPDATE roost.search_queue SET before_seq = 14;
SELECT is(roost.index_messages(5), 1::bigint, 'some messages are indexed');
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000d', '''hello'''),
    '12,13 of 2',
    'the newest first'
);
SELECT is(roost.index_messages(100), 0::bigint, 'then the others');
SELECT is(roost.index_messages(100), 0::bigint, 'then there is nothing to do');
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000d', '''hello'''),
    '1,12,13 of 3',
    'and all are found'
);
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000d', '''use'''),
    '9 of 1',
    'in no language'
);
UPDATE roost.conversations SET search_language = 'english'
WHERE id = '00000000-0000-7000-9000-000000000001';
SELECT is(
    (SELECT count(*) FROM roost.search_queue), 1::bigint, 'a new language is work for the job'
);
SELECT is(roost.index_messages(100), 0::bigint, 'which it does');
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000d', '''uses'''),
    '9 of 1',
    'and stems are found'
);

-- Large tables: the ways that find_matches takes through them. How many messages a conversation may
-- have is read from last_seq, and how long the table is from the places: a short one first, also
-- when this has been run here before, since a sequence is not put back when the test is.
DO $$
BEGIN
    PERFORM setval('roost.message_search_places', 1000);
END;
$$;
UPDATE roost.conversations SET last_seq = 20000
WHERE id = '00000000-0000-7000-9000-000000000002';
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000002', 1000 + step.number,
    '00000000-0000-7000-8000-00000000000a',
    jsonb_build_object(
        'text',
        concat_ws(
            ' ',
            CASE WHEN step.number <= 2600 THEN 'kestrel' ELSE 'finch' END,
            CASE WHEN step.number % 650 = 0 THEN 'merlin sings' END
        )
    )
FROM generate_series(1, 2600) AS step (number);
CREATE FUNCTION pg_temp.count_pages(p_query text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT concat(count(DISTINCT paged.seq), ' in ', count(*), ', ', min(paged.total))
    FROM pg_temp.pages(format('%L, page_size => 200', p_query)) AS paged;
$$;
SELECT is(
    pg_temp.count_pages(large.query), large.answer, 'in a long conversation: ' || large.query
)
FROM (
    VALUES
    ('kestrel', '2600 in 2600, 1000+'),
    ('merlin', '4 in 4, 4'),
    ('"merlin sings"', '4 in 4, 4'),
    ('"sings merlin"', '0 in 0, '),
    ('merl*', '4 in 4, 4'),
    ('kestrel -merlin', '2596 in 2596, 1000+')
) AS large (query, answer);

-- Far from the newest messages
-- A sequence is not put back when the test is: so from where it is.
SELECT cmp_ok(
    setval(
        'roost.message_search_places', nextval('roost.message_search_places') + 9000000
    ),
    '>',
    9000000::bigint,
    'and millions of messages later'
);
INSERT INTO roost.messages (conversation_id, seq, user_id, content)
SELECT
    '00000000-0000-7000-9000-000000000002', 5000 + step.number,
    '00000000-0000-7000-8000-00000000000a', '{"text": "finches finch finally"}'
FROM generate_series(1, 1100) AS step (number);
SELECT is(
    pg_temp.count_pages(large.query), large.answer, 'in a large table: ' || large.query
)
FROM (
    VALUES
    ('kestrel', '2600 in 2600, 0+'),
    ('merlin', '4 in 4, 4'),
    ('finch', '1100 in 1100, 1000+'),
    ('fin* finch', '1100 in 1100, 1000+'),
    ('fin*', '1102 in 1102, 1000+'),
    ('fin* merlin', '0 in 0, ')
) AS large (query, answer);
UPDATE roost.conversation_participants SET history_after_seq = 1650
WHERE conversation_id = '00000000-0000-7000-9000-000000000002';
SELECT is(
    pg_temp.count_pages(large.query), large.answer, 'not before they came: ' || large.query
)
FROM (
    VALUES ('merlin', '3 in 3, 3'), ('finch', '1100 in 1100, 1000+')
) AS large (query, answer);
SELECT is(
    (
        SELECT string_agg(paged.seq::text, ',' ORDER BY paged.seq)
        FROM pg_temp.pages(format('''merlin'', message_type => %L', kind.name)) AS paged
    ),
    kind.answer,
    'with a filter: ' || kind.name
)
FROM (VALUES ('text', '2300,2950,3600'), ('code', NULL)) AS kind (name, answer);
SELECT is(
    roost.search_place(moment.time), moment.place, 'the place of ' || moment.name
)
FROM (
    VALUES
    ('-infinity'::timestamptz, 1::bigint, 'what was before everything'),
    (now(), (SELECT max(indexed.place) FROM roost.message_search_index AS indexed), 'now'),
    ('infinity', (SELECT max(indexed.place) FROM roost.message_search_index AS indexed), 'later')
) AS moment (time, place, name);
UPDATE roost.search_history
SET messages = 1000, oldest = '2026-01-01 00:00Z', newest = '2026-01-11 00:00Z';
SELECT is(
    roost.search_place('2026-01-04 00:00Z'), 301::bigint,
    'messages from before there was a search are spread evenly'
);

-- Gone for good
DELETE FROM roost.messages
WHERE conversation_id = '00000000-0000-7000-9000-000000000002' AND seq = 2300;
SELECT is(
    pg_temp.found('00000000-0000-7000-8000-00000000000a', '''merlin'''),
    '2950,3600 of 2',
    'a message whose row is deleted is not found'
);

-- Long text is cut, also where its beginning takes more bytes than the rest, and where it grows
SELECT cmp_ok(
    octet_length(
        roost.fold_text(roost.message_text(jsonb_build_object('x', long.text), '[]'))
    ),
    '<=',
    40960,
    'long text is cut: ' || long.name
)
FROM (
    VALUES
    (repeat(U&'\+01F600', 31000) || repeat('x', 130000), 'wide characters first'),
    (repeat(U&'\FDFA', 80000), 'U+FDFA'),
    (repeat('x', 250000), 'plain')
) AS long (text, name);

-- By meaning, on a server that can't
SELECT throws_ok(
    calling(caller.role, caller.id::uuid, call.query),
    coalesce(caller.sqlstate, call.sqlstate),
    NULL,
    format('%s: %s', caller.name, left(call.query, 40))
)
FROM (
    VALUES
    ('roost_anon', NULL, '42501', 'a stranger'),
    ('roost_service', NULL, '42501', 'a service'),
    ('roost_user', NULL, 'RO101', 'nobody'),
    ('roost_user', '00000000-0000-7000-8000-00000000000a', NULL, 'a person')
) AS caller (role, id, sqlstate, name)
CROSS JOIN (
    VALUES
    (
        format('SELECT api.set_message_embedding(%L, ''m'', ''{1}'')', pg_temp.message_id(1)),
        'RO501'
    ),
    ('SELECT api.search_messages(embedding => ''{1}'', model => ''m'')', 'RO501')
) AS call (query, sqlstate);

-- A stand-in for pgvector, which few servers have: a text with brackets that can be compared.
-- tests/test_search.py has the real one. Only a superuser may make a type that takes a number of
-- dimensions. For anybody else it is a domain, which takes none: then find_nearest is run without.
CREATE SCHEMA "Vectors";
GRANT USAGE ON SCHEMA "Vectors" TO roost_owner;
DO $do$
BEGIN
    IF current_setting('is_superuser')::boolean THEN
        CREATE TYPE "Vectors".vector;
        CREATE FUNCTION "Vectors".vector_in(cstring)
        RETURNS "Vectors".vector LANGUAGE internal IMMUTABLE STRICT AS 'textin';
        CREATE FUNCTION "Vectors".vector_out("Vectors".vector)
        RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
        CREATE TYPE "Vectors".vector (
            INPUT = "Vectors".vector_in, OUTPUT = "Vectors".vector_out,
            TYPMOD_IN = varchartypmodin, LIKE = text
        );
        CREATE CAST (real[] AS "Vectors".vector) WITH INOUT;
        CREATE CAST ("Vectors".vector AS real[]) WITH INOUT;
    ELSE
        CREATE DOMAIN "Vectors".vector AS real[];
        EXECUTE replace(
            pg_get_functiondef('roost.find_nearest'::regproc), '.vector(%2$s)', '.vector'
        );
    END IF;

    CREATE FUNCTION "Vectors".distance("Vectors".vector, "Vectors".vector)
    RETURNS float8
    LANGUAGE sql
    AS $$
        SELECT 1 - sum(a * b) / sqrt(sum(a * a) * sum(b * b))
        FROM unnest($1::real[], $2::real[]) AS both_of (a, b)
    $$;
    CREATE OPERATOR "Vectors".<=> (
        LEFTARG = "Vectors".vector, RIGHTARG = "Vectors".vector, FUNCTION = "Vectors".distance
    );
END;
$do$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "Vectors" TO roost_owner;
GRANT USAGE ON TYPE "Vectors".vector TO roost_owner;
CREATE OR REPLACE FUNCTION roost.extension_schema(p_extension text)
RETURNS text
LANGUAGE sql
STABLE
RETURN CASE p_extension WHEN 'vector' THEN 'Vectors' ELSE 'extensions' END;
UPDATE roost.conversation_participants
SET left_at = NULL, history_after_seq = 0;
SELECT throws_ok(
    calling(
        'roost_user', caller.id::uuid,
        format(
            'SELECT api.set_message_embedding(%L, %L, %s)',
            pg_temp.message_id(caller.seq), caller.model, caller.embedding
        )
    ),
    caller.sqlstate,
    NULL,
    format('set_message_embedding: %s, %s', caller.name, caller.embedding)
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000c', 1, 'm', '''{1}''', 'RO201', 'an outsider'),
    ('00000000-0000-7000-8000-00000000000d', 1, 'm', '''{1}''', 'RO202', 'a viewer'),
    ('00000000-0000-7000-8000-00000000000a', 99, 'm', '''{1}''', 'RO201', 'no message'),
    ('00000000-0000-7000-8000-00000000000a', 3, 'm', '''{1}''', 'RO304', 'a deleted message'),
    ('00000000-0000-7000-8000-00000000000a', 1, '', '''{1}''', '23514', 'no model'),
    ('00000000-0000-7000-8000-00000000000a', 1, 'm', '''{}''', '23514', 'an owner'),
    ('00000000-0000-7000-8000-00000000000a', 1, 'm', 'NULL', '23502', 'an owner'),
    ('00000000-0000-7000-8000-00000000000a', 1, 'm', '''{0,0}''', '23514', 'an owner'),
    ('00000000-0000-7000-8000-00000000000a', 1, 'm', '''{1,NaN}''', '23514', 'an owner'),
    ('00000000-0000-7000-8000-00000000000a', 1, 'm', '''{1,NULL}''', '23514', 'an owner'),
    ('00000000-0000-7000-8000-00000000000a', 1, 'm', '''{{1},{2}}''', '23514', 'an owner')
) AS caller (id, seq, model, embedding, sqlstate, name);
SELECT is_empty('SELECT FROM roost.message_embeddings', 'and nothing is stored');
SELECT lives_ok(
    calling(
        'roost_user', caller.id::uuid,
        format(
            'SELECT api.set_message_embedding(%L, ''m'', %L)',
            pg_temp.message_id(caller.seq), caller.embedding
        )
    ),
    format('%s sets %s', caller.name, caller.embedding)
)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000a', 1, '{0,1}', 'the owner'),
    ('00000000-0000-7000-8000-00000000000b', 1, '{1,0}', 'a member, again,'),
    ('00000000-0000-7000-8000-00000000000b', 2, '{1,1}', 'a member')
) AS caller (id, seq, embedding, name);
-- A model takes its time: the message may have been edited since
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.set_message_embedding(%L, ''m'', ''{0,1}'', %s)',
            message.id, message.version + another.version
        )
    ),
    'RO303',
    NULL,
    'an embedding of another version: ' || another.version
)
FROM roost.messages AS message
CROSS JOIN (VALUES (-1), (1)) AS another (version)
WHERE message.id = pg_temp.message_id(1);
SELECT is(
    (SELECT embedding FROM roost.message_embeddings WHERE message_id = pg_temp.message_id(1)),
    '{1,0}',
    'is not stored'
);
SELECT lives_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format(
            'SELECT api.set_message_embedding(%L, ''m'', ''{2,0}'', %s)',
            message.id, message.version
        )
    ),
    'that of this version is'
)
FROM roost.messages AS message
WHERE message.id = pg_temp.message_id(1);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        $$
            SELECT string_agg(hit.value ->> 'highlights', ',')
            FROM json_array_elements(
                api.search_messages(embedding => '{1,0}', model => 'm') -> 'results'
            ) AS hit (value)
        $$
    ),
    '[],[]',
    'by meaning alone: there are no words to highlight'
);
SELECT is(
    as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000d',
        format(
            $$
                SELECT string_agg(hit.value -> 'message' ->> 'seq', ',')
                FROM json_array_elements(api.search_messages(%s) -> 'results') AS hit (value)
            $$,
            meant.arguments
        )
    ),
    meant.answer,
    'by meaning: ' || meant.arguments
)
FROM (
    VALUES
    ('embedding => ''{1,0}'', model => ''m''', '1,2'),
    ('embedding => ''{1,1}'', model => ''m''', '2,1'),
    ('''users.ts'', embedding => ''{1,0}'', model => ''m''', '2,1'),
    ('embedding => ''{1,0,0}'', model => ''m''', NULL),
    ('embedding => ''{1,0}'', model => ''n''', NULL)
) AS meant (arguments, answer);
SELECT throws_ok(
    calling(
        'roost_user', '00000000-0000-7000-8000-00000000000a',
        format('SELECT api.search_messages(''x'', %s)', refused.arguments)
    ),
    'RO302',
    NULL,
    'refused: ' || refused.arguments
)
FROM (
    VALUES
    ('model => ''m'''),
    ('embedding => ''{1}'''),
    ('embedding => ''{}'', model => ''m'''),
    ('embedding => ''{0}'', model => ''m'''),
    ('embedding => ''{NaN}'', model => ''m''')
) AS refused (arguments);
SELECT is(
    pg_temp.ask('00000000-0000-7000-8000-00000000000a', 'delete_message', 1), '1', 'deleted'
);
SELECT results_eq(
    'SELECT message_id, dimensions FROM roost.message_embeddings',
    'VALUES (pg_temp.message_id(2), 2::bigint)',
    'what it meant goes with it'
);

SELECT * FROM finish();

ROLLBACK;

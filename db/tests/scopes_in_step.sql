-- The short way of pull_changes, where nothing is new: it never says so where roost.plan_sync finds
-- something to do.
BEGIN;

SELECT plan(37);

SELECT make_user(person.id::uuid, person.email)
FROM (
    VALUES
    ('00000000-0000-7000-8000-00000000000a', 'ada@example.com'),
    ('00000000-0000-7000-8000-00000000000b', 'grace@example.com')
) AS person (id, email);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-0000000000db',
    '00000000-0000-7000-8000-0000000000eb'
);
SELECT make_session(
    '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-0000000000df',
    '00000000-0000-7000-8000-0000000000ef'
);
-- The third is ada's alone.
INSERT INTO roost.conversations (id, user_id)
SELECT
    ('00000000-0000-7000-9000-00000000000' || n)::uuid,
    '00000000-0000-7000-8000-00000000000a'
FROM generate_series(1, 3) AS n;
INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
SELECT
    ('00000000-0000-7000-9000-00000000000' || part.conversation)::uuid,
    ('00000000-0000-7000-8000-00000000000' || part.person)::uuid,
    part.role::roost.participant_role
FROM (
    VALUES
    (1, 'a', 'owner'), (2, 'a', 'owner'), (3, 'a', 'owner'), (1, 'b', 'member'),
    (2, 'b', 'member')
) AS part (conversation, person, role);
-- Of ada, or of grace on a device.
CREATE FUNCTION pg_temp.by(p_person text, p_device text, p_query text)
RETURNS text
LANGUAGE sql
VOLATILE
AS $$
    SELECT set_config(
        'roost.device_id',
        coalesce('00000000-0000-7000-8000-0000000000d' || p_device, ''), true
    );
    SELECT as_caller(
        'roost_user', ('00000000-0000-7000-8000-00000000000' || p_person)::uuid, p_query
    );
$$;
SELECT pg_temp.by('a', NULL, query)
FROM (
    VALUES
    (
        'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', ''{"text": "x"}'')'
        ' FROM generate_series(1, 4)'
    ),
    (
        'SELECT api.create_workspace(''W'', ''/w'', ''{}'','
        ' ''00000000-0000-7000-a000-000000000001'')'
    ),
    (
        'SELECT api.create_workspace(''V'', ''/v'', ''{}'','
        ' ''00000000-0000-7000-a000-000000000002'')'
    ),
    (
        'SELECT api.add_workspace_member(''00000000-0000-7000-a000-000000000001'','
        ' ''00000000-0000-7000-8000-00000000000b'', ''viewer'')'
    )
) AS done (query);
-- All pages, and as often as anything comes of acknowledging them.
CREATE FUNCTION pg_temp.catch_up(p_device text, p_filter text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_cursor text;
BEGIN
    LOOP
        v_cursor := pg_temp.by('b', p_device, format(
            'SELECT page.cursor FROM api.pull_changes(filter => %L) AS page', p_filter
        ));
        EXIT WHEN pg_temp.by('b', p_device, format('SELECT api.ack_changes(%L)', v_cursor)) = '0';
    END LOOP;
END;
$$;
-- What the short way says, and what the long one: how many scopes, and how many have something new.
-- What was done for it is undone.
CREATE FUNCTION pg_temp.said_after(p_change text, p_device text DEFAULT 'b')
RETURNS text
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_short text;
    v_long text;
    v_page text;
BEGIN
    EXECUTE p_change;
    v_page := pg_temp.by('b', p_device,
        'SELECT concat_ws('' '','
        ' CASE json_array_length(page.changes) WHEN 0 THEN ''nothing'' ELSE ''some'' END,'
        ' page.progress::text, page.has_more)'
        ' FROM api.pull_changes() AS page'
    );
    v_short := as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'SELECT roost.count_scopes_in_step()'
    );
    v_long := as_caller(
        'roost_api', '00000000-0000-7000-8000-00000000000b',
        'SELECT concat_ws('' '', plan.o_total, cardinality(plan.o_steps))'
        ' FROM roost.plan_sync(''{}'', NULL) AS plan'
    );
    RAISE EXCEPTION USING
        ERRCODE = 'ZZ999',
        MESSAGE = concat_ws('; ', coalesce(v_short, '-'), v_long, v_page);
EXCEPTION
    WHEN SQLSTATE 'ZZ999' THEN
        RETURN SQLERRM;
END;
$$;

SELECT throws_ok(
    calling(refused.role, refused.id::uuid, 'SELECT roost.count_scopes_in_step()'),
    refused.sqlstate, NULL, 'not for ' || refused.role
)
FROM (
    VALUES
    ('roost_user', '00000000-0000-7000-8000-00000000000b', '42501'),
    ('roost_anon', NULL, '42501'),
    ('roost_service', NULL, '42501'),
    ('roost_api', NULL, 'RO101')
) AS refused (role, id, sqlstate);

SELECT pg_temp.catch_up('b');
SELECT is(
    pg_temp.said_after('SELECT 1'), '4; 4 0; nothing {"done" : 4, "total" : 4} f',
    'all of everything: its own things, two conversations and a workspace'
);
SELECT is(
    pg_temp.by('b', 'b', format(
        'SELECT api.ack_changes(%L)', pg_temp.by(
            'b', 'b', 'SELECT page.cursor FROM api.pull_changes() AS page'
        )
    )),
    '0',
    'there is nothing to acknowledge of that'
);
SELECT is(
    pg_temp.by('b', 'b', format(
        'SELECT json_array_length(page.changes) FROM api.pull_changes(cursor => %L) AS page',
        pg_temp.by('b', 'b', 'SELECT page.cursor FROM api.pull_changes() AS page')
    )),
    '0',
    'and its cursor leads to no more'
);
SELECT is(
    pg_temp.said_after('SELECT 1', 'f'), '-; 4 4; some {"done" : 4, "total" : 4} f',
    'to a device that begins all of it is new'
);

SELECT is(pg_temp.said_after(tried.change), tried.said, tried.name)
FROM (
    VALUES
    (
        $$ SELECT pg_temp.by('a', NULL, 'SELECT api.send_message('
        '''00000000-0000-7000-9000-000000000002'', ''{"text": "y"}'')') $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'a message'
    ),
    (
        $$ SELECT pg_temp.by('b', 'f', 'SELECT api.update_me(display_name => ''Grace'')') $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'the account'
    ),
    (
        $$ SELECT pg_temp.by('a', NULL, 'SELECT api.add_participant('
        '''00000000-0000-7000-9000-000000000003'', ''00000000-0000-7000-8000-00000000000b'')') $$,
        '-; 5 2; some {"done" : 5, "total" : 5} f', 'a conversation is gained'
    ),
    (
        $$ INSERT INTO roost.conversation_participants (conversation_id, user_id)
        VALUES (
            '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000b'
        ) $$,
        '-; 5 1; some {"done" : 5, "total" : 5} f', 'also without a word in the inbox'
    ),
    (
        $$ SELECT pg_temp.by('a', NULL, 'SELECT api.remove_participant('
        '''00000000-0000-7000-9000-000000000001'', ''00000000-0000-7000-8000-00000000000b'')') $$,
        '-; 3 2; some {"done" : 3, "total" : 3} f', 'one is lost'
    ),
    (
        $$ UPDATE roost.conversation_participants SET left_at = now()
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001' AND role = 'member' $$,
        '-; 3 1; some {"done" : 3, "total" : 3} f', 'lost without a word in the inbox'
    ),
    (
        $$ DELETE FROM roost.conversation_participants
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001' AND role = 'member' $$,
        '-; 3 2; some {"done" : 3, "total" : 3} f', 'lost with the row'
    ),
    (
        $$ WITH lost AS (
            UPDATE roost.conversation_participants SET left_at = now()
            WHERE conversation_id = '00000000-0000-7000-9000-000000000001' AND role = 'member'
        )
        INSERT INTO roost.conversation_participants (conversation_id, user_id)
        VALUES (
            '00000000-0000-7000-9000-000000000003', '00000000-0000-7000-8000-00000000000b'
        ) $$,
        '-; 4 2; some {"done" : 4, "total" : 4} f', 'one lost and one gained'
    ),
    (
        $$ UPDATE roost.conversation_participants SET suspended = true
        WHERE conversation_id = '00000000-0000-7000-9000-000000000002' $$,
        '-; 3 1; some {"done" : 3, "total" : 3} f', 'suspended'
    ),
    (
        $$ SELECT pg_temp.by('a', NULL,
        'SELECT api.delete_conversation(''00000000-0000-7000-9000-000000000002'')') $$,
        '-; 3 2; some {"done" : 3, "total" : 3} f', 'deleted'
    ),
    (
        $$ UPDATE roost.conversations SET expired_seq = 2
        WHERE id = '00000000-0000-7000-9000-000000000001' $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'messages went because of their age'
    ),
    (
        $$ UPDATE roost.conversation_participants SET history_after_seq = 3
        WHERE conversation_id = '00000000-0000-7000-9000-000000000001' AND role = 'member' $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'messages are not theirs to see any more'
    ),
    (
        $$ SELECT pg_temp.by('a', NULL, 'SELECT api.update_workspace('
        '''00000000-0000-7000-a000-000000000001'', name => ''X'')') $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'a workspace'
    ),
    (
        $$ SELECT pg_temp.by('a', NULL, 'SELECT api.touch_workspace('
        '''00000000-0000-7000-a000-000000000001'')') $$,
        '4; 4 0; nothing {"done" : 4, "total" : 4} f', 'that one was opened is no change'
    ),
    (
        $$ INSERT INTO roost.workspace_members (workspace_id, user_id, role)
        VALUES (
            '00000000-0000-7000-a000-000000000002', '00000000-0000-7000-8000-00000000000b',
            'viewer'
        ) $$,
        '-; 5 1; some {"done" : 5, "total" : 5} f', 'a workspace is gained'
    ),
    (
        $$ UPDATE roost.workspace_members SET left_at = now()
        WHERE user_id = '00000000-0000-7000-8000-00000000000b' $$,
        '-; 3 1; some {"done" : 3, "total" : 3} f', 'a workspace is lost'
    ),
    (
        $$ SELECT pg_temp.by('a', NULL,
        'SELECT api.delete_workspace(''00000000-0000-7000-a000-000000000001'')') $$,
        '-; 3 2; some {"done" : 3, "total" : 3} f', 'a workspace is deleted'
    ),
    (
        $$ SELECT realtime.new_epoch() $$,
        '-; 4 4; some {"done" : 4, "total" : 4} f', 'the log began anew'
    ),
    (
        $$ UPDATE roost.sync_scopes SET position = position + 1 $$,
        '-; 4 4; some {"done" : 4, "total" : 4} f', 'what it has was never there'
    ),
    (
        $$ UPDATE roost.sync_scopes SET to_seq = to_seq + 1 WHERE scope LIKE 'conversation:%' $$,
        '-; 4 2; some {"done" : 4, "total" : 4} f', 'nor were these messages'
    ),
    (
        $$ UPDATE roost.sync_scopes SET to_seq = to_seq - 1
        WHERE scope = 'conversation:00000000-0000-7000-9000-000000000001' $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'new messages are to come'
    ),
    (
        $$ UPDATE roost.sync_scopes SET from_seq = from_seq + 1
        WHERE scope = 'conversation:00000000-0000-7000-9000-000000000001' $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'older ones are to come'
    ),
    (
        $$ UPDATE roost.sync_scopes SET position = -1 WHERE scope LIKE 'user:%' $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'it is to begin anew'
    ),
    (
        $$ UPDATE realtime.topics SET removed_offset = last_offset WHERE topic LIKE 'user:%' $$,
        '4; 4 0; nothing {"done" : 4, "total" : 4} f', 'what is gone it was told of'
    ),
    (
        $$ DELETE FROM roost.devices WHERE id = '00000000-0000-7000-8000-0000000000df' $$,
        '-; 4 1; some {"done" : 4, "total" : 4} f', 'a device is gone'
    )
) AS tried (change, said, name);

-- With a filter, and in between
SELECT is(
    pg_temp.said_after(format('SELECT pg_temp.catch_up(''f'', %L)', filtered.filter), 'f'),
    filtered.said,
    'what a filter left out is to come: ' || filtered.filter
)
FROM (
    VALUES
    ('{"messages": 1}', '-; 4 1; some {"done" : 4, "total" : 4} f'),
    (
        '{"conversations": ["00000000-0000-7000-9000-000000000001"]}',
        '-; 4 1; some {"done" : 4, "total" : 4} f'
    ),
    ('{"workspaces": []}', '-; 4 1; some {"done" : 4, "total" : 4} f')
) AS filtered (filter, said);

SELECT is(
    pg_temp.by(
        'b', 'f',
        'SELECT string_agg(DISTINCT change.said ->> ''scope'', '','')'
        ' FROM api.pull_changes(filter => ''{"conversations": [],'
        ' "workspaces": ["00000000-0000-7000-A000-000000000001"]}'') AS page'
        ' CROSS JOIN json_array_elements(page.changes) AS change (said)'
    ),
    'user:00000000-0000-7000-8000-00000000000b,workspace:00000000-0000-7000-a000-000000000001',
    'ids of a filter may be in capitals'
);

SELECT * FROM finish();

ROLLBACK;

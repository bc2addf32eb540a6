-- What goes with an account, or by an operator in psql: who is told, and what devices read anew.
BEGIN;

SELECT plan(13);

SELECT make_user(
    ('00000000-0000-7000-8000-00000000000' || person.name)::uuid, person.name || '@example.com'
)
FROM (VALUES ('a'), ('b'), ('c')) AS person (name);
-- 1 is a's; 2 is c's; c has left 3; 4 is c's and deleted.
INSERT INTO roost.conversations (id, user_id, deleted_at)
SELECT
    ('00000000-0000-7000-9000-00000000000' || made.n)::uuid,
    ('00000000-0000-7000-8000-00000000000' || made.owner)::uuid,
    made.deleted_at
FROM (
    VALUES (1, 'a', NULL), (2, 'c', NULL), (3, 'a', NULL), (4, 'c', now())
) AS made (n, owner, deleted_at);
INSERT INTO roost.conversation_participants (
    conversation_id, user_id, role, left_at, change_seq, suspended
)
SELECT
    ('00000000-0000-7000-9000-00000000000' || part.conversation)::uuid,
    ('00000000-0000-7000-8000-00000000000' || part.person)::uuid,
    part.role::roost.participant_role,
    CASE WHEN part.person = 'c' AND part.conversation = 3 THEN now() END,
    CASE WHEN part.person = 'c' AND part.conversation = 3 THEN 7 ELSE 0 END,
    part.conversation = 4
FROM (
    VALUES
    (1, 'a', 'owner'), (1, 'b', 'member'), (1, 'c', 'member'), (2, 'c', 'owner'),
    (2, 'b', 'member'), (3, 'a', 'owner'), (3, 'c', 'member'), (4, 'c', 'owner'), (4, 'b', 'member')
) AS part (conversation, person, role);
UPDATE roost.conversations SET last_seq = 8 WHERE id = '00000000-0000-7000-9000-000000000003';
SELECT as_caller(
    'roost_user', ('00000000-0000-7000-8000-00000000000' || done.person)::uuid, done.query
)
FROM (
    VALUES
    (
        'a', 'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', ''{"text": "x"}'')'
    ),
    (
        'c', 'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', ''{"text": "y"}'')'
    ),
    (
        'c', 'SELECT api.send_message(''00000000-0000-7000-9000-000000000001'', ''{"text": "z"}'')'
    ),
    (
        'a',
        'SELECT api.create_workspace(''W'', ''/w'', ''{}'','
        ' ''00000000-0000-7000-a000-000000000001'')'
    ),
    (
        'c',
        'SELECT api.create_workspace(''V'', ''/v'', ''{}'','
        ' ''00000000-0000-7000-a000-000000000002'')'
    ),
    (
        'a',
        'SELECT api.add_workspace_member(''00000000-0000-7000-a000-000000000001'','
        ' ''00000000-0000-7000-8000-00000000000c'', ''viewer'')'
    ),
    (
        'c',
        'SELECT api.add_workspace_member(''00000000-0000-7000-a000-000000000002'','
        ' ''00000000-0000-7000-8000-00000000000b'', ''viewer'')'
    ),
    (
        'a',
        'SELECT api.add_workspace_member(''00000000-0000-7000-a000-000000000001'','
        ' ''00000000-0000-7000-8000-00000000000b'', ''viewer'')'
    ),
    (
        'a',
        'SELECT api.remove_workspace_member(''00000000-0000-7000-a000-000000000001'','
        ' ''00000000-0000-7000-8000-00000000000b'')'
    )
) AS done (person, query);
DELETE FROM realtime.events;
SELECT realtime.publish('conversation:00000000-0000-7000-9000-000000000001', 'x', '{}');

CREATE VIEW pg_temp.told AS
SELECT
    left(event.topic, 1) || right(event.topic, 1) AS topic,
    event.event,
    right(event.revokes, 1) AS revokes,
    right(
        coalesce(
            event.payload ->> 'user_id', event.payload ->> 'conversation_id',
            event.payload ->> 'workspace_id'
        ),
        1
    ) AS about
FROM realtime.events AS event
WHERE event.event <> 'x';
CREATE FUNCTION pg_temp.removed(p_scope text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT concat_ws(
        ' of ',
        as_caller('roost_api', NULL, format('SELECT roost.removed_offset(%L)', p_scope)),
        realtime.last_offset(p_scope)
    );
$$;

DELETE FROM roost.users WHERE id = '00000000-0000-7000-8000-00000000000c';
SELECT results_eq(
    'SELECT topic, event, revokes, about FROM pg_temp.told ORDER BY 1, 2',
    $$
        VALUES
        ('c1', 'conversation.reset', NULL, 'a'),
        ('c1', 'participant.removed', 'c', 'c'),
        ('c2', 'conversation.deleted', 'y', 'c'),
        ('ub', 'conversation.removed', NULL, '2'),
        ('ub', 'workspace.removed', NULL, '2'),
        ('w1', 'workspace_member.removed', 'c', 'c'),
        ('w2', 'workspace.deleted', 'y', 'c')
    $$,
    'everybody who has shared something is told, once'
);
SELECT is(pg_temp.removed(scope.topic), scope.removed, scope.name)
FROM (
    VALUES
    ('conversation:00000000-0000-7000-9000-000000000001', '6 of 6', 'messages and somebody gone'),
    ('conversation:00000000-0000-7000-9000-000000000003', '7 of 8', 'a trace of somebody gone'),
    ('conversation:00000000-0000-7000-9000-000000000002', '0 of 0', 'nothing is left of that'),
    ('workspace:00000000-0000-7000-a000-000000000001', '4 of 4', 'a member gone'),
    ('user:00000000-0000-7000-8000-00000000000b', '0 of 5', 'nothing of an inbox')
) AS scope (topic, removed, name);

-- By an operator
DELETE FROM realtime.events;
DELETE FROM roost.workspace_members
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
SELECT is_empty('SELECT * FROM pg_temp.told', 'of who had left nothing is told');
DELETE FROM roost.conversation_participants
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
SELECT results_eq(
    'SELECT topic, event, revokes, about FROM pg_temp.told ORDER BY 1, 2',
    $$
        VALUES
        ('c1', 'participant.removed', 'b', 'b'),
        ('ub', 'conversation.removed', NULL, '1')
    $$,
    'the person is told too'
);
DELETE FROM realtime.events;
UPDATE roost.conversations SET expired_seq = 1
WHERE id = '00000000-0000-7000-9000-000000000001';
DELETE FROM roost.messages;
SELECT is_empty('SELECT * FROM pg_temp.told', 'of what went because of its age nothing is told');
SELECT as_caller(
    'roost_user', '00000000-0000-7000-8000-00000000000a',
    'SELECT api.delete_workspace(''00000000-0000-7000-a000-000000000001'')'
);
SELECT results_eq(
    'SELECT topic, event, revokes, about FROM pg_temp.told ORDER BY 1, 2',
    $$
        VALUES
        ('ua', 'workspace.removed', NULL, '1'),
        ('w1', 'workspace.deleted', 'y', 'a')
    $$,
    'of a workspace that its owner deletes it is told once'
);

SELECT throws_ok(
    calling(refused.role, NULL, 'SELECT roost.removed_offset(''x:1'')'), '42501', NULL,
    'removed_offset is not for ' || refused.role
)
FROM (VALUES ('roost_user'), ('roost_anon'), ('roost_service')) AS refused (role);

SELECT * FROM finish();

ROLLBACK;

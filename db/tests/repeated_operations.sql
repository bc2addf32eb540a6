-- Whoever sends an operation again was not answered, and perhaps nobody was told of it: what it has
-- changed is looked at again.
BEGIN;

SELECT plan(9);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_user('00000000-0000-7000-8000-00000000000b', 'grace@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d1',
    '00000000-0000-7000-8000-0000000000e1'
);
SELECT set_config('roost.gateway', 'on', true);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000d1', true);
-- The topics that are looked at again, by their letter and the end of their id.
CREATE FUNCTION pg_temp.woken(p_id bigint, p_kind text, p_args text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_query text := format(
        'SELECT pushed.outcome FROM api.push_operations(%L) AS pushed',
        jsonb_build_array(jsonb_build_object('id', p_id, 'kind', p_kind, 'args', p_args::jsonb))
    );
    v_outcomes text;
BEGIN
    v_outcomes := as_caller('roost_user', '00000000-0000-7000-8000-00000000000a', v_query);
    PERFORM set_config('roost.touched', '', true);
    v_outcomes := concat_ws(
        ' ', v_outcomes,
        as_caller('roost_user', '00000000-0000-7000-8000-00000000000a', v_query)
    );
    RETURN concat_ws(' ', v_outcomes, (
        SELECT string_agg(left(told.topic, 1) || right(told.topic, 1), ',' ORDER BY told.place)
        FROM unnest(string_to_array(current_setting('roost.touched', true), E'\n'))
            WITH ORDINALITY AS told (topic, place)
    ));
END;
$$;
SELECT is(
    pg_temp.woken(done.id, done.kind, done.args), 'applied duplicate ' || done.woken, done.kind
)
FROM (
    VALUES
    (1, 'create_conversation', '{"id": "00000000-0000-7000-9000-000000000001"}', 'c1,ua'),
    (
        2, 'update_conversation',
        '{"conversation_id": "00000000-0000-7000-9000-000000000001", "title": "x"}', 'c1,ua'
    ),
    (
        3, 'add_participant',
        '{"conversation_id": "00000000-0000-7000-9000-000000000001",'
        ' "user_id": "00000000-0000-7000-8000-00000000000b"}',
        'c1,ub,ua'
    ),
    (
        4, 'send_message',
        '{"conversation_id": "00000000-0000-7000-9000-000000000001", "content": {"text": "x"}}',
        'c1'
    ),
    (5, 'update_me', '{"display_name": "Ada"}', 'ua'),
    (
        6, 'create_workspace',
        '{"id": "00000000-0000-7000-a000-000000000001", "name": "W", "path": "/w"}', 'w1,ua'
    ),
    (
        7, 'add_workspace_member',
        '{"workspace_id": "00000000-0000-7000-a000-000000000001",'
        ' "user_id": "00000000-0000-7000-8000-00000000000b"}',
        'w1,ub,ua'
    ),
    (
        8, 'delete_workspace', '{"workspace_id": "00000000-0000-7000-a000-000000000001"}', 'w1,ua'
    )
) AS done (id, kind, args, woken)
ORDER BY done.id;
SELECT is(
    (SELECT count(*) FROM roost.sync_operations), 8::bigint, 'each was done once'
);

SELECT * FROM finish();

ROLLBACK;

-- An operation for which the time of a call is too short does not keep those behind it waiting.
BEGIN;

SELECT plan(13);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d1',
    '00000000-0000-7000-8000-0000000000e1'
);
SELECT set_config('roost.gateway', 'on', true);
SELECT set_config('roost.device_id', '00000000-0000-7000-8000-0000000000d1', true);
-- What the timeout does, which counts for statements that begin after it is set: for a name that
-- says so, after as many seconds as it says.
CREATE FUNCTION public.take_long()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_sleep(substr(NEW.display_name, 6)::double precision);
    RAISE query_canceled USING MESSAGE = 'canceling statement due to statement timeout';
END;
$$;
CREATE TRIGGER take_long BEFORE UPDATE OF display_name ON roost.users
FOR EACH ROW WHEN (NEW.display_name LIKE 'late %')
EXECUTE FUNCTION public.take_long();
CREATE FUNCTION pg_temp.push(p_timeout text, p_operations text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_answer text;
BEGIN
    PERFORM set_config('statement_timeout', p_timeout, true);
    v_answer := as_caller(
        'roost_user', '00000000-0000-7000-8000-00000000000a', format(
            'SELECT string_agg(concat_ws('' '', pushed.id, pushed.outcome, pushed.code), '', '')'
            ' FROM api.push_operations(%L) AS pushed',
            (
                SELECT jsonb_agg(
                    jsonb_build_object(
                        'id', split_part(listed.sent, '=', 1)::bigint,
                        'kind', 'update_me',
                        'args', jsonb_build_object('display_name', split_part(listed.sent, '=', 2))
                    )
                    || CASE
                        WHEN listed.sent LIKE '%=%=%'
                            THEN jsonb_build_object(
                                'depends_on',
                                jsonb_build_array(split_part(listed.sent, '=', 3)::bigint)
                            )
                        ELSE '{}'
                    END
                )
                FROM unnest(string_to_array(p_operations, ',')) AS listed (sent)
            )
        )
    );
    PERFORM set_config('statement_timeout', '0', true);
    RETURN v_answer;
EXCEPTION
    WHEN query_canceled THEN
        RETURN SQLSTATE;
END;
$$;
-- statement_timestamp() is of the statement that calls.
SELECT is(
    pg_temp.push('1s', '1=a,2=late 1,3=c,4=d=2'), '1 applied, 2 rejected 57014',
    'what came before it is done, it is not, and nothing else is begun'
);
SELECT is(
    (SELECT account.display_name FROM roost.users AS account), 'a', 'that is how it is'
);
SELECT is(
    pg_temp.push('1s', '1=a,2=late 1,3=c,4=d=2'),
    '1 duplicate, 2 duplicate 57014, 3 applied, 4 deferred RO306',
    'the next time the rest is, but for what depends on it'
);
SELECT is(
    (
        SELECT concat_ws(' ', operation.outcome, operation.code, operation.args, operation.hint)
        FROM roost.sync_operations AS operation
        WHERE operation.operation_id = 2
    ),
    'rejected 57014 {"display_name": "late 1"} It takes too long: send less at once, under a new'
    ' id.',
    'it is recorded, with all that it was to do'
);
SELECT is(
    pg_temp.push('1s', '5=bad=5,6=late 1,7=c'), '5 rejected RO302, 6 rejected 57014',
    'also where each is by itself'
);
SELECT is(pg_temp.push('1s', '7=late 1'), '7 rejected 57014', 'and where it is alone');
SELECT is(pg_temp.push('1s', '8=late 0.1'), '57014', 'who cancels the call ends it');
SELECT is(pg_temp.push('1s', '8=bad=9,9=late 0.1'), '57014', 'however they are carried out');
SELECT is(pg_temp.push('0', '8=late 0.1'), '57014', 'also where a call may take for ever');
SELECT is(
    (
        SELECT concat_ws(' ', known.last_operation_id, account.display_name)
        FROM roost.sync_devices AS known
        CROSS JOIN roost.users AS account
    ),
    '7 c',
    'then nothing is done, and nothing recorded'
);
SELECT throws_ok(
    calling(refused.role, NULL, 'SELECT roost.is_out_of_time()'), '42501', NULL,
    'is_out_of_time is not for ' || refused.role
)
FROM (VALUES ('roost_user'), ('roost_anon'), ('roost_service')) AS refused (role);

SELECT * FROM finish();

ROLLBACK;

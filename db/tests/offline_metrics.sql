-- What is in the offline queues, counted for the metrics.
BEGIN;

SELECT plan(7);

SELECT make_user('00000000-0000-7000-8000-00000000000a', 'ada@example.com');
SELECT make_session(
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d1',
    '00000000-0000-7000-8000-0000000000e1'
);
CREATE FUNCTION pg_temp.counted()
RETURNS text
LANGUAGE sql
AS $$
    SELECT as_caller(
        'roost_gateway', NULL,
        'SELECT concat_ws('' '', waiting, failed, round(oldest_due_seconds))'
        ' FROM roost.count_offline_operations()'
    );
$$;
SELECT throws_ok(
    calling(refused.role, NULL, 'SELECT roost.count_offline_operations()'), '42501', NULL,
    'not for ' || refused.role
)
FROM (VALUES ('roost_user'), ('roost_anon'), ('roost_service'), ('roost_api')) AS refused (role);
SELECT is(pg_temp.counted(), '0 0 0', 'at first nothing');
INSERT INTO roost.offline_operations (
    user_id, device_id, kind, policy, body_hash, status, next_attempt_at, code, completed_at
)
SELECT
    '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-0000000000d1', 'update_me',
    'merge', '\x', queued.status, now() - queued.due, queued.code, queued.completed_at
FROM (
    VALUES
    ('pending', interval '90 seconds', NULL, NULL::timestamptz),
    ('pending', interval '-90 seconds', NULL, NULL),
    ('pending', NULL, NULL, NULL),
    ('failed', NULL, 'RO201', NULL),
    ('completed', NULL, NULL, now()),
    ('discarded', NULL, NULL, now())
) AS queued (status, due, code, completed_at);
SELECT is(pg_temp.counted(), '3 1 90', 'what waits, what has failed, what is due for longest');
DELETE FROM roost.offline_operations WHERE next_attempt_at < now();
SELECT is(pg_temp.counted(), '2 1 0', 'what waits for its next attempt is not due');

SELECT * FROM finish();

ROLLBACK;

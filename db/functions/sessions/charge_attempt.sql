-- The row lock of the upsert makes attempts on one subject queue up, each counted before its
-- password is checked: guesses sent in parallel are no cheaper than guesses in turn. Each failure
-- past the free ones doubles the wait: 2 s, 4 s, 8 s and so on up to 15 minutes. A quarter of an
-- hour keeps an attacker below 100 guesses a day, and an owner who comes back in the evening is not
-- locked out for the night. After an hour without an attempt the count starts again.
CREATE OR REPLACE FUNCTION roost.charge_attempt(p_subject text, p_free integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_longest_wait CONSTANT interval := interval '15 minutes';
    c_memory CONSTANT interval := interval '1 hour';
    v_failures integer;
    v_blocked_until timestamptz;
BEGIN
    INSERT INTO roost.login_attempts AS attempt (subject, failures, last_attempt_at)
    VALUES (p_subject, 1, clock_timestamp())
    ON CONFLICT ON CONSTRAINT login_attempts_pkey
    DO UPDATE SET
        failures = CASE
            WHEN attempt.last_attempt_at < clock_timestamp() - c_memory THEN 1
            ELSE attempt.failures + 1
        END,
        last_attempt_at = clock_timestamp()
    WHERE attempt.blocked_until IS NULL OR attempt.blocked_until <= clock_timestamp()
    RETURNING attempt.failures INTO v_failures;

    -- The upsert locked the row even where it did not change it, so this reads what it decided on.
    IF NOT FOUND THEN
        SELECT attempt.blocked_until
        INTO v_blocked_until
        FROM roost.login_attempts AS attempt
        WHERE attempt.subject = p_subject;

        RAISE EXCEPTION USING
            ERRCODE = 'RO106',
            MESSAGE = 'Too many attempts.',
            DETAIL = format(
                'Seconds to wait: %s',
                greatest(1, ceil(extract(EPOCH FROM v_blocked_until - clock_timestamp())))
            ),
            HINT = 'Wait, then try again.';
    END IF;

    UPDATE roost.login_attempts AS attempt
    SET blocked_until = CASE
        WHEN v_failures > p_free THEN clock_timestamp() + least(
            make_interval(secs => power(2, least(v_failures - p_free, 20))), c_longest_wait
        )
    END
    WHERE attempt.subject = p_subject;
END;
$$;

REVOKE ALL ON FUNCTION roost.charge_attempt(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION roost.charge_attempt(text, integer) IS
'Counts an attempt to sign in or up against an account or an address. After p_free failures each
further one earns a wait; an attempt during a wait is not counted and raises RO106 with the seconds
in its detail.';

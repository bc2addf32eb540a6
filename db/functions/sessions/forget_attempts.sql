-- What nobody came back to is forgotten in passing: an attempt makes at most two rows and removes
-- up to ten, so they can't pile up. Rows in use elsewhere are left to the next one. Called after
-- the charges, so that nobody waits for a row while holding the rows that go.
CREATE OR REPLACE FUNCTION roost.forget_attempts()
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM roost.login_attempts AS attempt
    USING (
        SELECT old.subject
        FROM roost.login_attempts AS old
        WHERE old.last_attempt_at < now() - interval '1 hour'
        ORDER BY old.last_attempt_at
        LIMIT 10
        FOR UPDATE SKIP LOCKED
    ) AS forgotten
    WHERE attempt.subject = forgotten.subject;
$$;

REVOKE ALL ON FUNCTION roost.forget_attempts() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_attempts() IS
'Deletes up to ten counters of attempts that are older than an hour.';

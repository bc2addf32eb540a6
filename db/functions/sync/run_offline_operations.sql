-- SKIP LOCKED: of two workers each takes a device of its own, and none waits for one that sends or
-- whose queue another one works on. The row stays locked to the end, see
-- api.process_offline_operations, which runs as the functions of api do, below row-level security.
-- The device is locked behind it, so that a revocation comes before all of this or behind; while
-- somebody revokes it, it is left to a later call. So is one whose batch fails as a whole, as where
-- the inbox is held for long: it keeps no other device waiting.
CREATE OR REPLACE FUNCTION roost.run_offline_operations(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    c_patience CONSTANT interval := '3 seconds'::interval;
    c_later CONSTANT interval := '2 seconds'::interval;
    v_queue record;
    v_is_revoked boolean;
    v_is_active boolean;
    v_is_free boolean;
    v_done bigint := 0;
BEGIN
    -- One in which nothing is due after all is scheduled anew, and another one is taken.
    WHILE v_done = 0 AND clock_timestamp() < statement_timestamp() + c_patience LOOP
        SELECT known.device_id, known.user_id
        INTO v_queue
        FROM roost.sync_devices AS known
        WHERE known.offline_due_at <= now()
        ORDER BY known.offline_due_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED;

        EXIT WHEN NOT FOUND;

        PERFORM
            set_config('roost.session_id', '', true),
            set_config('roost.user_id', v_queue.user_id::text, true),
            set_config('roost.device_id', v_queue.device_id::text, true);

        SELECT device.status = 'revoked', account.status = 'active'
        INTO v_is_revoked, v_is_active
        FROM roost.devices AS device
        JOIN roost.users AS account ON account.id = device.user_id
        WHERE device.id = v_queue.device_id AND device.user_id = v_queue.user_id
        FOR KEY SHARE OF device SKIP LOCKED;
        v_is_free := FOUND;

        BEGIN
            IF v_is_revoked OR NOT v_is_active THEN
                v_done := roost.end_offline_operations(v_queue.device_id, v_is_revoked, p_limit);
            ELSIF v_is_free THEN
                v_done := api.process_offline_operations(p_limit);
            END IF;
        EXCEPTION
            WHEN OTHERS THEN
                v_is_free := false;

                RAISE WARNING USING
                    MESSAGE = 'The offline operations of a device can not be carried out.',
                    DETAIL = format('Device: %s; %s: %s', v_queue.device_id, SQLSTATE, SQLERRM),
                    HINT = 'Remove what the error tells of; it is tried again.';
        END;

        IF NOT v_is_free THEN
            UPDATE roost.sync_devices AS known
            SET offline_due_at = now() + c_later
            WHERE known.device_id = v_queue.device_id AND known.user_id = v_queue.user_id;
        END IF;
    END LOOP;

    PERFORM
        set_config('roost.user_id', '', true),
        set_config('roost.device_id', '', true);

    RETURN v_done;
END;
$$;

REVOKE ALL ON FUNCTION roost.run_offline_operations(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.run_offline_operations(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.run_offline_operations(integer) IS
'Carries out what is due in the queue of one device, up to p_limit operations, in order, each in a
savepoint of its own, as its person on that device; what is due on a revoked device is discarded,
and of an account that is not active it fails. Works for about 3 seconds. Answers how many
operations it has tried or ended, 0 when nothing is due now: call it again, in a transaction of
its own. Several servers may do so at once.';

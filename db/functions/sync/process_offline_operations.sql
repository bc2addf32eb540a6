-- The row of sync_devices is locked to the end, as by push_operations: nobody else does anything of
-- this device meanwhile, so that each operation is done once and those of a device in order. The
-- operations lock conversations after that, in the order in which they were enqueued; two devices
-- can so come to wait for each other, which ends one operation, or after a second of waiting, and
-- that one is tried again.
CREATE OR REPLACE FUNCTION api.process_offline_operations(most integer DEFAULT 100)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    -- Well below the time that a call has: what has been done stays done.
    c_patience CONSTANT interval := '3 seconds'::interval;
    c_long CONSTANT integer := 20;
    v_user_id uuid := roost.require_user();
    v_device_id uuid;
    v_operation roost.offline_operations;
    v_position bigint := 0;
    v_tried bigint := 0;
    v_ended uuid[] := '{}'::uuid[];
    v_conflicts uuid[] := '{}'::uuid[];
    v_progress record;
BEGIN
    IF (process_offline_operations.most BETWEEN 1 AND 1000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'most is no number of operations.',
            DETAIL = format('most: %s', process_offline_operations.most),
            HINT = 'Send a whole number from 1 to 1,000.';
    END IF;

    SELECT known.device_id
    INTO STRICT v_device_id
    FROM roost.lock_sync_device() AS known;

    -- At least one, however long it took to come here.
    WHILE v_tried < process_offline_operations.most
        AND (v_tried = 0 OR clock_timestamp() < statement_timestamp() + c_patience)
    LOOP
        SELECT operation.*
        INTO v_operation
        FROM roost.offline_operations AS operation
        WHERE operation.device_id = v_device_id
            AND operation.user_id = v_user_id
            AND operation.position > v_position
            AND operation.next_attempt_at <= now()
        ORDER BY operation.position
        LIMIT 1;

        EXIT WHEN NOT FOUND;

        v_tried := v_tried + 1;
        v_position := v_operation.position;
        v_operation := roost.take_offline_operation(v_operation);

        IF v_operation.status <> 'pending' THEN
            v_ended := v_ended || v_operation.id;
        END IF;

        IF v_operation.conflict_id IS NOT NULL THEN
            v_conflicts := v_conflicts || v_operation.conflict_id;
        END IF;

        EXIT WHEN v_operation.code = '57014';
    END LOOP;

    SELECT queue.done, queue.total
    INTO STRICT v_progress
    FROM roost.schedule_offline_queue(v_device_id, v_tried) AS queue;

    -- At the end, since the inbox comes after conversations in the order of locks.
    PERFORM roost.publish_conflict(
        conflict,
        CASE conflict.state WHEN 'open' THEN 'conflict.opened' ELSE 'conflict.resolved' END
    )
    FROM roost.sync_conflicts AS conflict
    JOIN unnest(v_conflicts) WITH ORDINALITY AS opened (id, place) ON opened.id = conflict.id
    WHERE conflict.user_id = v_user_id
    ORDER BY opened.place;

    PERFORM roost.publish_offline_operations(v_ended);

    IF v_tried > 0 AND v_progress.total > c_long THEN
        PERFORM realtime.broadcast(
            format('user:%s', v_user_id),
            'sync.progress',
            json_build_object(
                'device_id', v_device_id,
                'work', 'offline_operations',
                'done', v_progress.done,
                'total', v_progress.total
            )
        );
    END IF;

    RETURN v_tried;
END;
$$;

ALTER FUNCTION api.process_offline_operations(integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.process_offline_operations(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.process_offline_operations(integer) TO roost_user;

COMMENT ON FUNCTION api.process_offline_operations(integer) IS
'Carries out what is due in the queue of the calling device, now and in order, instead of waiting
for the server to do it. Each operation is by itself, as if it had been called; what becomes of it
is told by offline_operation.completed and offline_operation.failed on user:<id>. Works for about
3 seconds.

Callers: signed-in people, on a device.
Arguments: most, 1 to 1,000 operations.
Returns: how many were tried; 0 when nothing is due now.
Errors: RO101, RO302 (most, or a session without a device).
Example: POST /rpc/process_offline_operations {}';

-- A queue with more that is due goes behind those of other devices. One in which all wait is looked
-- at by the hour: its device may have been revoked. Goes through what is due in one queue, which
-- has at most 10,000 entries.
CREATE OR REPLACE FUNCTION roost.schedule_offline_queue(
    p_device_id uuid,
    p_done bigint,
    OUT done bigint,
    OUT total bigint
)
RETURNS record
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
    v_due bigint;
    v_next_at timestamptz;
BEGIN
    SELECT
        count(*) FILTER (WHERE operation.next_attempt_at <= now()),
        min(operation.next_attempt_at)
    INTO v_due, v_next_at
    FROM roost.offline_operations AS operation
    WHERE operation.device_id = p_device_id
        AND operation.user_id = v_user_id
        AND operation.next_attempt_at IS NOT NULL;

    IF v_next_at IS NULL AND EXISTS (
        SELECT FROM roost.offline_operations AS operation
        WHERE operation.device_id = p_device_id
            AND operation.user_id = v_user_id
            AND operation.status = 'pending'
    ) THEN
        v_next_at := now() + interval '1 hour';
    END IF;

    SELECT known.offline_done + p_done
    INTO STRICT done
    FROM roost.sync_devices AS known
    WHERE known.device_id = p_device_id AND known.user_id = v_user_id;

    total := done + v_due;

    UPDATE roost.sync_devices AS known
    SET offline_due_at = greatest(v_next_at, CASE WHEN v_next_at IS NOT NULL THEN now() END),
        offline_done = CASE WHEN v_due > 0 THEN done ELSE 0 END
    WHERE known.device_id = p_device_id AND known.user_id = v_user_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.schedule_offline_queue(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.schedule_offline_queue(uuid, bigint) TO roost_api;

COMMENT ON FUNCTION roost.schedule_offline_queue(uuid, bigint) IS
'Says when the queue of a device of the caller''s is to be looked at again, after p_done
operations of it were worked on. Answers how many were since nothing was due the last time, and
how many these are with those that are due now. To be called under the lock on the device''s row
of sync_devices.';

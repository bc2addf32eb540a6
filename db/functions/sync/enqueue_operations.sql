-- Positions are given out under the lock on the device's row of sync_devices, so what is behind in
-- the queue was committed behind, and nothing becomes due before what it follows is there.
CREATE OR REPLACE FUNCTION api.enqueue_operations(operations jsonb)
RETURNS SETOF roost.offline_operation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 1000;
    -- Those that have failed too, which would else be without end.
    c_most_open CONSTANT integer := 10000;
    v_user_id uuid := roost.require_user();
    v_device_id uuid;
    v_sent jsonb;
BEGIN
    IF (
        jsonb_typeof(enqueue_operations.operations) = 'array'
        AND jsonb_array_length(enqueue_operations.operations) BETWEEN 1 AND c_most
        AND NOT jsonb_path_exists(
            enqueue_operations.operations, 'strict $[*] ? (@.type() <> "object")'
        )
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'That is no list of operations.',
            DETAIL = format(
                'It is: %s', coalesce(jsonb_typeof(enqueue_operations.operations), 'null')
            ),
            HINT = 'Send a list of 1 to 1,000 objects {"id", "kind", "args"}; ids are UUIDs.';
    END IF;

    SELECT known.device_id
    INTO STRICT v_device_id
    FROM roost.lock_sync_device() AS known;

    FOR v_sent IN
        SELECT sent.operation
        FROM jsonb_array_elements(enqueue_operations.operations)
            WITH ORDINALITY AS sent (operation, place)
        ORDER BY sent.place
    LOOP
        RETURN QUERY
        SELECT (roost.describe_offline_operation(added, false)).*
        FROM roost.add_offline_operation(v_sent) AS added;
    END LOOP;

    IF (
        SELECT count(*)
        FROM (VALUES ('pending'), ('failed')) AS open (status)
        CROSS JOIN LATERAL (
            SELECT FROM roost.offline_operations AS operation
            WHERE operation.device_id = v_device_id
                AND operation.user_id = v_user_id
                AND operation.status = open.status
            OFFSET 0
        ) AS counted
    ) > c_most_open THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO205',
            MESSAGE = 'The queue of this device is full.',
            DETAIL = format('Device: %s; at most: %s', v_device_id, c_most_open),
            HINT = 'Send these later, when others were carried out; discard what has failed.';
    END IF;

    PERFORM roost.schedule_offline_queue(v_device_id, 0);
END;
$$;

ALTER FUNCTION api.enqueue_operations(jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.enqueue_operations(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.enqueue_operations(jsonb) TO roost_user;

COMMENT ON FUNCTION api.enqueue_operations(jsonb) IS
'Puts operations into the queue of the calling device. The server carries them out, in the order
in which they were enqueued and each by itself, and tries one that fails again, after 1 second and
then twice as long each time; one that fails stops none but those that depend on it. Nothing is
enqueued when any is refused.

Callers: signed-in people, on a device.
Arguments: operations, a list of 1 to 1,000 objects. id, a new UUID; with the same id and body it is
enqueued once. kind, args, base_version, base, policy and queued_at as in push_operations.
depends_on, a list of ids of operations that the device has enqueued before. max_retries, 0 to 20, 3
unless said.
Returns: a list, as list_offline_operations answers it, without args: those that were enqueued, and
those that were already.
Errors: RO101, RO205 (10,000 operations of the device have not ended), RO301 (an id that stands for
another operation), RO302 (no such list, an operation that is none, depends on what is not there, or
a session without a device), RO306 (depends on one that was discarded).
Example: POST /rpc/enqueue_operations {"operations": [{"id": "<new uuid>", "kind": "send_message",
"args": {"conversation_id": "<id>", "content": {"text": "hello"}}}]}';

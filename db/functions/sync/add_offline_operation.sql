-- What it names, and an operation before it is to make, it depends on without saying so, and so
-- does an edit on the edit that it goes on from.
CREATE OR REPLACE FUNCTION roost.add_offline_operation(p_sent jsonb)
RETURNS roost.offline_operations
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_operation roost.device_operation := roost.read_operation(p_sent, true);
    v_device_id uuid := roost.current_device_id();
    v_user_id uuid := roost.current_user_id();
    v_hash bytea := roost.hash_operation(p_sent);
    v_row roost.offline_operations;
    v_named uuid[];
    v_unknown_id text;
    v_discarded_id text;
    v_waits boolean;
BEGIN
    SELECT operation.*
    INTO v_row
    FROM roost.offline_operations AS operation
    WHERE operation.user_id = v_user_id AND operation.id = v_operation.offline_id;

    IF v_row.device_id = v_device_id AND v_row.body_hash = v_hash THEN
        RETURN v_row;
    ELSIF v_row.id IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'You have enqueued another operation under this id.',
            DETAIL = format('Id: %s; kind: %s', v_row.id, v_row.kind),
            HINT = 'Make a new id; send the same body on the same device to repeat one.';
    END IF;

    v_named := ARRAY(
        SELECT DISTINCT listed.id::uuid
        FROM jsonb_array_elements_text(
            coalesce(nullif(p_sent -> 'depends_on', 'null'), '[]')
        ) AS listed (id)
    );

    SELECT
        min(named.id::text) FILTER (WHERE needed.id IS NULL),
        min(named.id::text) FILTER (WHERE needed.status = 'discarded')
    INTO v_unknown_id, v_discarded_id
    FROM unnest(v_named) AS named (id)
    LEFT JOIN roost.offline_operations AS needed
        ON needed.user_id = v_user_id
        AND needed.id = named.id
        AND needed.device_id = v_device_id;

    IF v_unknown_id IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It depends on an operation that the device has not enqueued before it.',
            DETAIL = format('Operation: %s; depends on: %s', p_sent -> 'id', v_unknown_id),
            HINT = 'Enqueue that one first; leave out what was completed 30 days ago.';
    ELSIF v_discarded_id IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO306',
            MESSAGE = 'It depends on an operation that was discarded.',
            DETAIL = format('Operation: %s; depends on: %s', p_sent -> 'id', v_discarded_id),
            HINT = 'Enqueue that one anew, or leave it out of depends_on.';
    END IF;

    -- By what it names alone, one by one: a device has many that are not done.
    WITH maker AS MATERIALIZED (
        SELECT made.*
        FROM (
            VALUES
                ((v_operation.args ->> 'conversation_id')::uuid),
                ((v_operation.args ->> 'message_id')::uuid),
                ((v_operation.args ->> 'parent_message_id')::uuid)
        ) AS named (id)
        CROSS JOIN LATERAL (
            SELECT known.id, known.device_id, known.kind, known.base_version, known.completed_at
            FROM roost.offline_operations AS known
            WHERE known.args IS NOT NULL AND known.target_id = named.id
            OFFSET 0
        ) AS made
    )

    SELECT v_named || coalesce(array_agg(DISTINCT maker.id), '{}'::uuid[])
    INTO STRICT v_named
    FROM maker
    WHERE maker.device_id = v_device_id
        AND maker.completed_at IS NULL
        AND (
            maker.kind IN ('create_conversation', 'send_message')
            OR (
                maker.kind = 'edit_message'
                AND v_operation.kind = 'edit_message'
                AND maker.base_version = v_operation.base_version - 1
            )
        )
        AND maker.id <> ALL (v_named);

    v_waits := EXISTS (
        SELECT
        FROM unnest(v_named) AS named (id)
        CROSS JOIN LATERAL (
            SELECT known.status
            FROM roost.offline_operations AS known
            WHERE known.user_id = v_user_id AND known.id = named.id
            OFFSET 0
        ) AS needed
        WHERE needed.status <> 'completed'
    );

    INSERT INTO roost.offline_operations AS added (
        user_id, id, device_id, kind, target_id, args, base_version, base, policy, depends_on,
        body_hash, queued_at, max_retries, next_attempt_at
    )
    VALUES (
        v_user_id,
        v_operation.offline_id,
        v_device_id,
        v_operation.kind,
        v_operation.target_id,
        v_operation.args,
        v_operation.base_version,
        v_operation.base,
        v_operation.policy,
        v_named,
        v_hash,
        v_operation.queued_at,
        coalesce((p_sent ->> 'max_retries')::bigint, 3),
        CASE WHEN NOT v_waits THEN now() END
    )
    RETURNING added.* INTO STRICT v_row;

    RETURN v_row;
END;
$$;

REVOKE ALL ON FUNCTION roost.add_offline_operation(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.add_offline_operation(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.add_offline_operation(jsonb) IS
'Puts an operation into the queue of the calling device, or answers the one that has its id and is
the same. Raises RO302 where it is none or depends on one that is not in the queue, RO301 where
its id stands for another one, RO306 where it depends on one that was discarded.';

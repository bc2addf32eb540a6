-- What it names, and was to be made by an operation that failed, it depends on without saying so.
-- What is not recorded any more counts as applied, and so does what is there,
-- since a call or another device made it: the function itself says what is not there.
CREATE OR REPLACE FUNCTION roost.require_dependencies(p_operation roost.device_operation)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
-- A plan from when there were a few operations would read all of them for each of a long batch.
SET enable_seqscan = off
AS $$
DECLARE
    v_failed_id bigint;
BEGIN
    IF EXISTS (
        SELECT FROM unnest(p_operation.depends_on) AS named (id)
        WHERE named.id >= p_operation.id
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'An operation depends on what comes before it alone.',
            DETAIL = format('Operation: %s', p_operation.id),
            HINT = 'Send ids that are smaller than its own as depends_on.';
    END IF;

    SELECT min(earlier.operation_id)
    INTO v_failed_id
    FROM roost.sync_operations AS earlier
    WHERE earlier.device_id = roost.current_device_id()
        AND earlier.user_id = roost.current_user_id()
        AND earlier.operation_id = ANY (p_operation.depends_on)
        AND earlier.outcome <> 'applied';

    IF v_failed_id IS NULL THEN
        -- The last that was to make it: it may have been sent again in another form.
        SELECT min(made.operation_id)
        INTO v_failed_id
        FROM (
            VALUES
                (p_operation.args ->> 'conversation_id'),
                (p_operation.args ->> 'message_id'),
                (p_operation.args ->> 'parent_message_id')
        ) AS named (id)
        CROSS JOIN LATERAL (
            SELECT earlier.operation_id, earlier.outcome
            FROM roost.sync_operations AS earlier
            WHERE earlier.device_id = roost.current_device_id()
                AND earlier.user_id = roost.current_user_id()
                AND earlier.target_id = named.id::uuid
                AND earlier.kind IN ('send_message', 'create_conversation')
            ORDER BY earlier.operation_id DESC
            LIMIT 1
        ) AS made
        WHERE named.id IS NOT NULL
            -- Looked up one by one, and only behind a failure.
            AND CASE
                WHEN made.outcome <> 'applied'
                    THEN coalesce(
                        (
                            SELECT conversation.id FROM roost.conversations AS conversation
                            WHERE conversation.id = named.id::uuid
                        ),
                        (
                            SELECT message.id FROM roost.messages AS message
                            WHERE message.id = named.id::uuid
                        )
                    ) IS NULL
                ELSE false
            END;
    END IF;

    IF v_failed_id IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO306',
            MESSAGE = 'It depends on an operation that was not applied.',
            DETAIL = format('Operation: %s', v_failed_id),
            HINT = 'Put that one right and send both again, under new ids.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_dependencies(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_dependencies(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.require_dependencies(roost.device_operation) IS
'Raises RO306 where an operation depends on one of the device that was not applied, RO302 where it
says that it depends on one that is yet to come.';

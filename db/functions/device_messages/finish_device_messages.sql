-- Runs as the owner, for what nothing undoes; the check is its own. Locks, in the order that
-- roost.revoke_sessions has:
--
--     devices, by id         send_device_message FOR NO KEY UPDATE, so that senders to one device,
--                            and sends of one device, come one after another: the same id twice,
--                            the last place in a queue. Here FOR KEY SHARE, which waits for
--                            revoke_device alone: that has topics before it comes to messages.
--     device_messages, by id here, FOR UPDATE: of an acknowledgement, a cancellation and the expiry
--                            of one message the first does it, and the others find nothing.
--     realtime.topics, by id of the device.
CREATE OR REPLACE FUNCTION roost.finish_device_messages(
    p_ids uuid[],
    p_state roost.device_message_state
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
    v_device_id uuid := roost.current_device_id();
    v_ids uuid[];
    v_finished roost.device_message_outcomes[];
BEGIN
    -- None of these columns ever changes, so this need not be asked again under the lock. Found by
    -- id and nothing else: through the device it would be the whole queue.
    v_ids := ARRAY(
        WITH named AS MATERIALIZED (
            SELECT
                message.id, message.user_id, message.from_device_id, message.to_device_id,
                message.expires_at
            FROM roost.device_messages AS message
            WHERE message.id = ANY (p_ids)
        )

        SELECT named.id
        FROM named
        WHERE CASE p_state
                WHEN 'acknowledged' THEN (named.user_id, named.to_device_id)
                    = (v_user_id, v_device_id)
                WHEN 'cancelled' THEN (named.user_id, named.from_device_id)
                    = (v_user_id, v_device_id)
                WHEN 'expired' THEN named.expires_at <= now()
            END
    );

    PERFORM
    FROM roost.devices AS device
    WHERE device.id = ANY (ARRAY(
        SELECT unnest(ARRAY[message.from_device_id, message.to_device_id])
        FROM roost.device_messages AS message
        WHERE message.id = ANY (v_ids)
    ))
    ORDER BY device.id
    FOR KEY SHARE;

    v_ids := ARRAY(
        SELECT message.id
        FROM roost.device_messages AS message
        WHERE message.id = ANY (v_ids)
        ORDER BY message.id
        FOR UPDATE
    );

    WITH finished AS (
        DELETE FROM roost.device_messages AS message
        WHERE message.id = ANY (v_ids)
        RETURNING message.*
    ),

    remembered AS (
        INSERT INTO roost.device_message_outcomes AS outcome (
            id, user_id, from_device_id, to_device_id, number, state, created_at, expires_at
        )
        SELECT
            finished.id, finished.user_id, finished.from_device_id, finished.to_device_id,
            finished.number, p_state, finished.created_at, finished.expires_at
        FROM finished
        RETURNING outcome
    )

    SELECT array_agg(remembered.outcome)
    INTO v_finished
    FROM remembered;

    -- Whoever did it tells the other device.
    PERFORM realtime.publish(
        format('device:%s', told.told_device_id),
        format('device_message.%s', p_state),
        json_build_object('id', told.id, 'device_id', told.device_id)
    )
    FROM (
        SELECT
            outcome.id,
            addressed.told_device_id,
            addressed.device_id
        FROM unnest(v_finished) AS outcome
        CROSS JOIN LATERAL (
            SELECT
                CASE p_state
                    WHEN 'cancelled' THEN outcome.to_device_id ELSE outcome.from_device_id
                END,
                CASE p_state
                    WHEN 'cancelled' THEN outcome.from_device_id ELSE outcome.to_device_id
                END
        ) AS addressed (told_device_id, device_id)
        ORDER BY addressed.told_device_id, outcome.number
        OFFSET 0
    ) AS told;

    RETURN coalesce(cardinality(v_finished), 0);
END;
$$;

REVOKE ALL ON FUNCTION roost.finish_device_messages(uuid[], roost.device_message_state)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.finish_device_messages(uuid[], roost.device_message_state)
TO roost_api;

COMMENT ON FUNCTION roost.finish_device_messages(uuid[], roost.device_message_state) IS
'Takes messages out of their queues, tells the device that is to hear of it, and answers how many
they were. Passes over those that are not the calling device''s to acknowledge or to cancel, or not
past their time.';

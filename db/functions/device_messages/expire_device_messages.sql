-- Waits for no message and no device: what somebody else has is done by them, or the next time. It
-- may wait for topics, in their order.
CREATE OR REPLACE FUNCTION roost.expire_device_messages(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    -- As events are kept.
    c_remembered CONSTANT interval := '7 days'::interval;
    v_ids uuid[];
    v_device_ids uuid[];
    v_expired bigint;
    v_forgotten bigint;
BEGIN
    v_ids := ARRAY(
        SELECT message.id
        FROM roost.device_messages AS message
        WHERE message.expires_at <= now()
        ORDER BY message.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    );
    v_device_ids := ARRAY(
        SELECT device.id
        FROM roost.devices AS device
        WHERE device.id = ANY (ARRAY(
            SELECT unnest(ARRAY[message.from_device_id, message.to_device_id])
            FROM roost.device_messages AS message
            WHERE message.id = ANY (v_ids)
        ))
        FOR KEY SHARE SKIP LOCKED
    );
    v_expired := roost.finish_device_messages(
        ARRAY(
            -- By their own key: through those of their devices it would be all that these have.
            WITH due AS MATERIALIZED (
                SELECT message.id, message.from_device_id, message.to_device_id
                FROM roost.device_messages AS message
                WHERE message.id = ANY (v_ids)
            )

            SELECT due.id
            FROM due
            WHERE due.from_device_id = ANY (v_device_ids) AND due.to_device_id = ANY (v_device_ids)
        ),
        'expired'
    );

    -- They never change, so each stays where it was found.
    DELETE FROM roost.device_message_outcomes AS outcome
    WHERE outcome.ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM roost.device_message_outcomes AS old
        WHERE old.finished_at < now() - c_remembered
        ORDER BY old.finished_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_forgotten = ROW_COUNT;

    RETURN CASE WHEN p_limit IN (v_expired, v_forgotten) THEN p_limit ELSE 0 END;
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_device_messages(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_device_messages(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_device_messages(integer) IS
'Takes device messages that are past their time out of their queues, oldest first, and tells those
who sent them with device_message.expired; forgets what became of messages 7 days ago. Up to p_limit
of each. Answers 0 when nothing more is to be done now, else more: call it again, in a transaction
of its own. Two servers may do so at once.';

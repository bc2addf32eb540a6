-- Conversations are locked one after the other, in order of their ids, as everywhere; the rows of
-- the device are its own, and two calls of one device take them in the same order. What is no
-- longer the caller's is passed over: the acknowledgement and a removal may cross on their way.
CREATE OR REPLACE FUNCTION api.acknowledge_events(positions jsonb, resume text DEFAULT NULL)
RETURNS SETOF roost.device_cursor
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 1000;
    v_device_id uuid;
    v_epoch text := realtime.get_epoch();
    v_inbox text := format('user:%s', roost.require_user());
    v_snapshot pg_snapshot := realtime.read_snapshot_token(acknowledge_events.resume);
    v_sent record;
    v_cursor roost.device_cursors;
BEGIN
    IF (
        jsonb_typeof(acknowledge_events.positions) = 'object'
        AND (SELECT count(*) FROM jsonb_object_keys(acknowledge_events.positions)) <= c_most
        AND NOT EXISTS (
            SELECT FROM jsonb_each(acknowledge_events.positions) AS sent
            WHERE jsonb_typeof(sent.value) <> 'number' OR sent.value::text !~ '^[0-9]{1,18}$'
        )
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The positions are no offsets of topics.',
            DETAIL = format('positions: %s', left(acknowledge_events.positions::text, 200)),
            HINT = 'Send {"<topic>": <offset of the last event that was received>}, of 1,000 topics'
                ' at most.';
    END IF;

    -- Since the call began, register_device may have removed it. As the foreign key does, but
    -- before it refuses.
    SELECT device.id
    INTO v_device_id
    FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
    FOR KEY SHARE;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The session has no device that could have received anything.',
            DETAIL = format('Session: %s', roost.current_session_id()),
            HINT = 'Give the session one with register_device.';
    END IF;

    IF v_snapshot IS NULL AND acknowledge_events.positions ? v_inbox THEN
        v_snapshot := realtime.read_snapshot_token(realtime.snapshot_token());
    END IF;

    -- The first one stays. One from the future is of another server, as in realtime.join_topic.
    IF pg_snapshot_xmax(v_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) OR EXISTS (
        SELECT FROM roost.device_cursors AS cursor
        WHERE cursor.device_id = v_device_id
            AND cursor.topic = v_inbox
            AND cursor.epoch = v_epoch
            AND pg_snapshot_xmax(cursor.heard_since) <= pg_snapshot_xmax(pg_current_snapshot())
    ) THEN
        v_snapshot := NULL;
    END IF;

    FOR v_sent IN
        SELECT
            sent.topic,
            sent.after,
            CASE WHEN sent.topic = v_inbox THEN v_snapshot END AS heard_since
        FROM (
            SELECT said.key AS topic, said.value::bigint AS after
            FROM jsonb_each_text(acknowledge_events.positions) AS said
            UNION ALL
            SELECT v_inbox, NULL
            WHERE v_snapshot IS NOT NULL AND NOT acknowledge_events.positions ? v_inbox
        ) AS sent
        WHERE realtime.can_join(sent.topic)
        ORDER BY sent.topic
    LOOP
        IF v_sent.after > realtime.last_offset(v_sent.topic) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO402',
                MESSAGE = 'The topic has no such offset.',
                DETAIL = format('Topic: %s; offset: %s', v_sent.topic, v_sent.after),
                HINT = 'Send the offset of the last event that was received.';
        END IF;

        INSERT INTO roost.device_cursors AS cursor (
            device_id, topic, epoch, acknowledged, heard_since
        )
        VALUES (v_device_id, v_sent.topic, v_epoch, v_sent.after, v_sent.heard_since)
        ON CONFLICT ON CONSTRAINT device_cursors_pkey
        DO UPDATE SET
            epoch = excluded.epoch,
            acknowledged = CASE
                WHEN cursor.epoch = excluded.epoch
                    THEN greatest(cursor.acknowledged, excluded.acknowledged)
                ELSE excluded.acknowledged
            END,
            heard_since = CASE
                WHEN cursor.epoch = excluded.epoch
                    -- Another call of the device may have come first.
                    AND (
                        excluded.heard_since IS NULL
                        OR pg_snapshot_xmax(cursor.heard_since)
                        <= pg_snapshot_xmax(pg_current_snapshot())
                    )
                    THEN cursor.heard_since
                ELSE excluded.heard_since
            END,
            updated_at = now()
        WHERE cursor.acknowledged < excluded.acknowledged
            OR (cursor.acknowledged IS NULL AND excluded.acknowledged IS NOT NULL)
            OR cursor.epoch <> excluded.epoch
            OR excluded.heard_since IS NOT NULL;

        -- Of the inbox nothing was said, but of what is heard in it.
        CONTINUE WHEN v_sent.after IS NULL;

        IF v_sent.topic LIKE 'conversation:%' THEN
            PERFORM roost.move_markers(substr(v_sent.topic, 14)::uuid, v_sent.after, false);
        END IF;

        SELECT cursor.*
        INTO STRICT v_cursor
        FROM roost.device_cursors AS cursor
        WHERE cursor.device_id = v_device_id AND cursor.topic = v_sent.topic;

        RETURN NEXT ROW(
            v_cursor.topic, v_cursor.epoch, v_cursor.acknowledged, v_cursor.updated_at
        )::roost.device_cursor;
    END LOOP;
END;
$$;

ALTER FUNCTION api.acknowledge_events(jsonb, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.acknowledge_events(jsonb, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.acknowledge_events(jsonb, text) TO roost_user;

COMMENT ON FUNCTION api.acknowledge_events(jsonb, text) IS
'Says that the calling device has everything of some topics up to these offsets. It can come back
from there (a join with {"acknowledged": true}), and messages of conversations count as delivered:
whoever sent them gets receipt. Offsets only move forward.

Callers: signed-in people, on a device.
Arguments: positions, {"<topic>": offset}, of 1,000 topics at most. resume, what the reply to the
join of the inbox said: from there on the device comes back to conversations of which it has not
acknowledged anything yet. The first one is kept; without one that is the first acknowledgement of
the inbox itself.
Returns: a list: topic, epoch, acknowledged and updated_at of each topic that the caller may read.
Errors: RO101, RO302 (no positions, no such resume, or a session without a device), RO402 (no such
offset).
Example: POST /rpc/acknowledge_events {"positions": {"conversation:<id>": 41}}';

-- Rows are taken in order of the scopes, and conversations in order of their ids, as everywhere:
-- two acknowledgements of one device, and those of others, wait for each other in one direction.
-- The later position stands, whichever comes second.
CREATE OR REPLACE FUNCTION api.ack_changes(cursor text)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A cursor that was not made here could fill the table; a pull takes so many away.
    c_most_lost CONSTANT bigint := 1000;
    v_device_id uuid;
    v_epoch text := realtime.get_epoch();
    v_read jsonb;
    v_scopes jsonb;
    v_lost text [];
    v_lost_count bigint := 0;
    v_gone bigint;
    v_moved bigint;
BEGIN
    PERFORM roost.require_user();

    -- As the foreign key does, but before it refuses; whoever revokes the device waits, or has come
    -- first, which is seen behind the wait.
    PERFORM FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
    FOR KEY SHARE;

    v_device_id := roost.require_sync_device();
    v_read := roost.read_sync_cursor(ack_changes.cursor);
    v_scopes := v_read -> 'scopes';

    PERFORM FROM roost.sync_scopes AS stored
    WHERE stored.device_id = v_device_id
        AND stored.scope = ANY (ARRAY(SELECT jsonb_object_keys(v_scopes)))
    ORDER BY stored.scope
    FOR UPDATE;

    v_lost := (
        SELECT coalesce(array_agg(sent.key) FILTER (WHERE sent.value = 'null'), '{}')
        FROM jsonb_each(v_scopes) AS sent
    );

    DELETE FROM roost.sync_scopes AS stored
    WHERE stored.device_id = v_device_id
        AND stored.scope = ANY (v_lost);
    GET DIAGNOSTICS v_gone = ROW_COUNT;

    v_scopes := v_scopes - v_lost;

    IF EXISTS (
        SELECT FROM jsonb_object_keys(v_scopes) AS sent (scope)
        WHERE NOT EXISTS (
            SELECT FROM roost.sync_scopes AS known
            WHERE known.device_id = v_device_id AND known.scope = sent.scope
        )
    ) THEN
        v_lost_count := (
            SELECT count(*)
            FROM roost.sync_scopes AS stored
            WHERE stored.device_id = v_device_id
                AND NOT EXISTS (
                    SELECT FROM roost.list_scopes() AS readable WHERE readable.topic = stored.scope
                )
        );
    END IF;

    -- What the person may not read any more is kept, too, also where this is the first that is
    -- heard of it: the device has taken it in, and is to be told that it lost it.
    INSERT INTO roost.sync_scopes AS stored (
        device_id, scope, epoch, position, from_seq, to_seq, held_count
    )
    SELECT
        v_device_id, sent.key, v_epoch, (sent.value ->> 0)::bigint, (sent.value ->> 1)::bigint,
        (sent.value ->> 2)::bigint, (sent.value ->> 3)::bigint
    FROM jsonb_each(v_scopes) AS sent
    LEFT JOIN roost.sync_scopes AS known
        ON known.device_id = v_device_id AND known.scope = sent.key
    WHERE known.scope IS NOT NULL
        OR realtime.can_join(sent.key)
        OR (sent.key LIKE 'conversation:%' AND v_lost_count < c_most_lost)
    ORDER BY sent.key
    ON CONFLICT ON CONSTRAINT sync_scopes_pkey
    DO UPDATE SET
        epoch = excluded.epoch,
        position = excluded.position,
        from_seq = excluded.from_seq,
        to_seq = excluded.to_seq,
        held_count = excluded.held_count,
        updated_at = now()
    WHERE stored.epoch <> excluded.epoch
        OR (excluded.position, excluded.to_seq, -excluded.from_seq)
        > (stored.position, stored.to_seq, -stored.from_seq)
        -- What it had was of another log, never there, or dropped: it was told to begin anew.
        OR stored.position > realtime.last_offset(stored.scope)
        OR (
            v_scopes -> stored.scope ->> 4 = '1'
            AND (excluded.position, excluded.from_seq, excluded.to_seq)
            IS DISTINCT FROM (stored.position, stored.from_seq, stored.to_seq)
        );
    GET DIAGNOSTICS v_moved = ROW_COUNT;

    -- Each row by its key: of a person with few conversations the planner would read all of them
    -- for each, and keep to that when there are many. Where it does all the same, the id is not
    -- found anew for each row. A device that has got no message yet has nothing delivered.
    PERFORM roost.move_markers(unmarked.conversation_id, unmarked.up_to_seq, false)
    FROM (
        SELECT
            own.conversation_id,
            least(sent.to_seq, realtime.last_offset(sent.scope)) AS up_to_seq
        FROM (
            SELECT
                listed.key AS scope,
                CASE
                    WHEN listed.key LIKE 'conversation:%' THEN realtime.topic_id(listed.key)
                END AS conversation_id,
                (listed.value ->> 2)::bigint AS to_seq
            FROM jsonb_each(v_scopes) AS listed
            WHERE (listed.value ->> 1)::bigint <= (listed.value ->> 2)::bigint
            OFFSET 0
        ) AS sent
        CROSS JOIN LATERAL (
            SELECT participant.conversation_id, participant.last_delivered_seq
            FROM roost.conversation_participants AS participant
            WHERE participant.conversation_id = sent.conversation_id
                AND participant.user_id = roost.current_user_id()
                AND participant.left_at IS NULL
                AND NOT participant.suspended
            LIMIT 1
        ) AS own
        WHERE own.last_delivered_seq < sent.to_seq
        ORDER BY own.conversation_id
    ) AS unmarked;

    IF v_gone + v_moved > 0 THEN
        PERFORM realtime.broadcast(
            format('user:%s', roost.current_user_id()),
            'sync.progress',
            json_build_object(
                'device_id', v_device_id,
                'work', 'pull',
                'done', v_read -> 'progress' -> 'done',
                'total', v_read -> 'progress' -> 'total'
            )
        );
    END IF;

    RETURN v_gone + v_moved;
END;
$$;

ALTER FUNCTION api.ack_changes(text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.ack_changes(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.ack_changes(text) TO roost_user;

COMMENT ON FUNCTION api.ack_changes(text) IS
'Says that the calling device has taken in everything up to a cursor of pull_changes: from there it
goes on, however long it is away, and messages of conversations count as delivered. Positions only
move forward; the same cursor again changes nothing. The person''s devices hear how far it
has come, by the ephemeral event sync.progress.

Callers: signed-in people, on a device.
Arguments: cursor, of a page of pull_changes.
Returns: a number: of how many scopes something has moved.
Errors: RO101, RO302 (no cursor, another device''s, or a session without a device), RO403 (the log
began anew).
Example: POST /rpc/ack_changes {"cursor": "<cursor>"}';

-- The lock guards the same id that is sent twice at once, as by a client that timed out and tries
-- again: the second waits here until the first has committed, and then finds its event. Taken
-- before the topic's, whose lock is realtime.publish's.
CREATE OR REPLACE FUNCTION realtime.publish_once(
    p_topic text,
    p_event text,
    p_payload json,
    p_id uuid
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_request_hash bytea := sha256(convert_to(
        json_build_array(p_topic, p_event, p_payload)::text, 'UTF8'
    ));
    v_stored realtime.client_event_ids;
    v_offset bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(
        hashtextextended(format('roost:client_event_ids:%s:%s', v_user_id, p_id), 0)
    );

    SELECT client_event.*
    INTO v_stored
    FROM realtime.client_event_ids AS client_event
    WHERE client_event.actor_id = v_user_id AND client_event.id = p_id;

    IF NOT FOUND THEN
        v_offset := realtime.publish(p_topic, p_event, p_payload);

        INSERT INTO realtime.client_event_ids (actor_id, id, topic, event_offset, request_hash)
        VALUES (v_user_id, p_id, p_topic, v_offset, v_request_hash);
    ELSIF v_stored.request_hash = v_request_hash THEN
        v_offset := v_stored.event_offset;

        -- Whoever publishes again was not answered, perhaps because the server died right behind
        -- the commit: then nobody has told the relays.
        PERFORM realtime.wake(p_topic);
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'You have published another event under this id.',
            DETAIL = format('Id: %s; topic: %s', p_id, v_stored.topic),
            HINT = 'Make a new id for each event, and send the same one only to repeat it.';
    END IF;

    RETURN v_offset;
END;
$$;

REVOKE ALL ON FUNCTION realtime.publish_once(text, text, json, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.publish_once(text, text, json, uuid) TO roost_api;

COMMENT ON FUNCTION realtime.publish_once(text, text, json, uuid) IS
'As realtime.publish, once for each id of the caller''s: again with the same id it answers the
offset that the event has. Errors: RO101, RO301 (another event has this id).';

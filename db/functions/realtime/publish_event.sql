CREATE OR REPLACE FUNCTION api.publish_event(
    topic text,
    event text,
    payload jsonb,
    id uuid DEFAULT NULL
)
RETURNS roost.published_event
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 65536;
    -- The JSON value null comes as NULL.
    v_payload jsonb := coalesce(publish_event.payload, 'null'::jsonb);
    v_published roost.published_event;
BEGIN
    PERFORM roost.require_user();

    IF NOT realtime.can_publish(publish_event.topic) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'You may not publish to this topic.',
            DETAIL = format('Topic: %s', coalesce(publish_event.topic, 'null')),
            HINT = 'Publish to app:<your id>:<name>, or to a topic whose prefix the operator has'
                ' registered. What is told in conversation:<id> and the like is done by calls, such'
                ' as send_message.';
    ELSIF realtime.is_reserved_event(publish_event.topic, publish_event.event) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'This event is sent by the server alone.',
            DETAIL = format('Event: %s', coalesce(publish_event.event, 'null')),
            HINT = 'Choose another name.';
    ELSIF NOT roost.json_fits(v_payload, c_most_bytes) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The payload of the event is too large.',
            DETAIL = format('Most bytes: %s', c_most_bytes),
            HINT = 'Send at most 64 KiB, in which numbers count with all their digits; store what'
                ' is larger, and send its id.';
    END IF;

    v_published.topic := publish_event.topic;
    v_published."offset" := CASE
        WHEN publish_event.id IS NULL THEN
            realtime.publish(publish_event.topic, publish_event.event, v_payload::json)
        ELSE
            realtime.publish_once(
                publish_event.topic, publish_event.event, v_payload::json, publish_event.id
            )
    END;
    v_published.epoch := realtime.get_epoch();

    RETURN v_published;
END;
$$;

ALTER FUNCTION api.publish_event(text, text, jsonb, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.publish_event(text, text, jsonb, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.publish_event(text, text, jsonb, uuid) TO roost_user;

COMMENT ON FUNCTION api.publish_event(text, text, jsonb, uuid) IS
'Publishes an event of an application: it is stored with the next offset of its topic, reaches
whoever is live there, and whoever joins with an earlier offset. In app:<your id>:<name> a person''s
own devices talk to each other, under any name; who may use other topics the operator''s rules say.

Callers: signed-in people.
Arguments: topic. event, 1 to 100 small letters, digits, _, . and -, beginning with a letter.
payload, any JSON of at most 64 KiB. id, made by the client: sent again with the same id, within 7
days, the event is not published again, and the answer is the same.
Returns: an object: topic, offset of the event in it, and the epoch that the offset is of.
Errors: RO101, RO301 (another event has this id), RO302 (payload too large), RO401 (not your topic,
or an event of the server''s), 23514 (no proper event).
Example: POST /rpc/publish_event {"topic": "app:<id>:notes", "event": "saved", "payload": {}}';

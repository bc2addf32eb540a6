CREATE OR REPLACE FUNCTION api.broadcast_event(topic text, event text, payload jsonb)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM realtime.send_broadcast(
        broadcast_event.topic,
        broadcast_event.event,
        -- The JSON value null comes as NULL.
        coalesce(broadcast_event.payload, 'null'::jsonb)::json
    );
END;
$$;

ALTER FUNCTION api.broadcast_event(text, text, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.broadcast_event(text, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.broadcast_event(text, text, jsonb) TO roost_user;

COMMENT ON FUNCTION api.broadcast_event(text, text, jsonb) IS
'Sends an ephemeral event, as a client does over its socket: it is in no log, has no offset, and
reaches whoever is live in the topic. Possible where the caller may send messages
(conversation:<id>) or change files (workspace:<id>), in user:<your id> and device:<id> of a device
of theirs, in app:<your id>:<name>, and where the operator''s rules say so.

Callers: signed-in people.
Arguments: topic. event, 1 to 100 letters, digits, and _ . : / -, and none that the server sends
itself, such as message.created. payload, any JSON of at most 256 KiB.
Returns: nothing.
Errors: RO101, RO401 (not your topic, or an event of the server''s), RO302 (payload too large, or no
proper name).
Example: POST /rpc/broadcast_event {"topic": "app:<id>:notes", "event": "cursor", "payload": {}}';

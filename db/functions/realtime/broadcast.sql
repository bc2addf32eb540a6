-- Nothing is stored, and no row is locked: it costs what a wake-up costs. The line is "~topic",
-- event and payload with tabs between them. It has to fit in a notification of 8,000 bytes.
CREATE OR REPLACE FUNCTION realtime.broadcast(p_topic text, p_event text, p_payload json)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- As jsonb, whose text has no control characters and nothing that JSON parsers refuse.
    v_payload text := p_payload::jsonb::text;
BEGIN
    IF v_payload IS NULL OR octet_length(v_payload) > 4096 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The payload of an ephemeral event is too large, or missing.',
            DETAIL = format('Bytes: %s', coalesce(octet_length(v_payload)::text, 'none')),
            HINT = 'Send at most 4,096 bytes; publish what is larger, or store it and send its id.';
    ELSIF (
        p_topic ~ '^[a-z][a-z0-9_-]*:[^[:cntrl:]]{1,200}$'
        AND char_length(p_topic) <= 255
        AND p_event ~ '^[a-z][a-z0-9_.-]{0,99}$'
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The topic or the event has no proper name.',
            DETAIL = format('Topic: %s; event: %s', p_topic, p_event),
            HINT = 'Name a topic like conversation:<id>, and an event like typing.started.';
    END IF;

    PERFORM realtime.wake(concat_ws(E'\t', '~' || p_topic, p_event, v_payload));
END;
$$;

REVOKE ALL ON FUNCTION realtime.broadcast(text, text, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.broadcast(text, text, json) TO roost_api;

COMMENT ON FUNCTION realtime.broadcast(text, text, json) IS
'Sends an ephemeral event: it is not stored, has no offset, and reaches after commit whoever is live
in the topic then. Errors: RO302 (more than 4,096 bytes of payload, or no proper name).';

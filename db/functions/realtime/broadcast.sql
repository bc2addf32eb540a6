-- No row is locked, and nothing is stored for longer than it takes to pass it on: it costs what a
-- wake-up costs. The line has tabs between its three parts:
--     ~<topic> <event> <payload>       JSON text, of at most 4,096 bytes
--     ~<topic> <event> @<id>           a larger one's: realtime.read_large_broadcast has it
-- No JSON text begins with an @. The first form has to fit in a notification of 8,000 bytes. The
-- row of the second is there when the line is: both become known at commit.
CREATE OR REPLACE FUNCTION realtime.broadcast(p_topic text, p_event text, p_payload json)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 262144;
    c_most_bytes_of_a_line CONSTANT integer := 4096;
    -- As jsonb, whose text has no control characters and nothing that JSON parsers refuse.
    v_payload jsonb := p_payload::jsonb;
    v_text text;
BEGIN
    -- Before it is written out: a short payload can have numbers of 131,072 digits.
    IF v_payload IS NULL OR NOT roost.json_fits(v_payload, c_most_bytes) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The payload of an ephemeral event is too large, or missing.',
            DETAIL = format('Bytes as sent: %s', coalesce(octet_length(p_payload::text), 0)),
            HINT = 'Send at most 256 KiB, in which numbers count with all their digits; store what'
                ' is larger, and send its id.';
    ELSIF (
        p_topic ~ '^[a-z][a-z0-9_-]*:[^[:cntrl:]]{1,200}$'
        AND char_length(p_topic) <= 255
        AND p_event ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,99}$'
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The topic or the event has no proper name.',
            DETAIL = format('Topic: %s; event: %s', p_topic, p_event),
            HINT = 'Name a topic like conversation:<id>, and an event like typing.started, with at'
                ' most 100 letters, digits, and _ . : / -';
    END IF;

    v_text := v_payload::text;

    IF octet_length(v_text) > c_most_bytes_of_a_line THEN
        v_text := concat('@', realtime.keep_large_broadcast(p_topic, p_event, v_text::json));
    END IF;

    PERFORM realtime.wake(concat_ws(E'\t', '~' || p_topic, p_event, v_text));
END;
$$;

REVOKE ALL ON FUNCTION realtime.broadcast(text, text, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.broadcast(text, text, json) TO roost_api;

COMMENT ON FUNCTION realtime.broadcast(text, text, json) IS
'Sends an ephemeral event: it is in no log, has no offset, and reaches after commit whoever is live
in the topic then. Errors: RO302 (more than 256 KiB of payload, or no proper name).';

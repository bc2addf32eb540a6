-- For writers that already hold the lock on the row that gives out the topic's offsets and took
-- this offset from it.
CREATE OR REPLACE FUNCTION realtime.append(
    p_topic text,
    p_offset bigint,
    p_event text,
    p_payload json,
    p_about_offset bigint DEFAULT NULL,
    p_revokes text DEFAULT NULL,
    p_grants_topic text DEFAULT NULL,
    p_grants_after bigint DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What is larger, or comes behind so much other news, is read from the log.
    c_most_bytes CONSTANT integer := 4096;
    c_most_touched CONSTANT integer := 32768;
    v_id uuid;
    v_payload CONSTANT text := p_payload::text;
BEGIN
    INSERT INTO realtime.events (
        topic, event_offset, event, payload, actor_id, device_id, about_offset, revokes,
        grants_topic, grants_after
    )
    VALUES (
        p_topic,
        p_offset,
        p_event,
        p_payload,
        roost.current_user_id(),
        roost.current_device_id(),
        p_about_offset,
        p_revokes,
        p_grants_topic,
        p_grants_after
    )
    RETURNING id INTO v_id;

    -- A server that writes is told the event with the news of it, and need not read it. JSON may
    -- have the characters that end a part of a line, or the line, between its own parts.
    IF current_setting('roost.hands_over', true) = 'on'
        AND octet_length(v_payload) <= c_most_bytes
        AND strpos(v_payload, E'\t') = 0
        AND strpos(v_payload, E'\n') = 0
        AND octet_length(coalesce(current_setting('roost.touched', true), '')) <= c_most_touched
    THEN
        PERFORM realtime.wake(
            concat_ws(
                E'\t',
                p_topic,
                p_offset,
                v_id,
                p_event,
                (SELECT log.epoch FROM realtime.log AS log),
                coalesce(p_about_offset::text, ''),
                coalesce(p_revokes, ''),
                coalesce(p_grants_topic, ''),
                coalesce(p_grants_after::text, ''),
                v_payload
            )
        );
    ELSE
        PERFORM realtime.wake(p_topic);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION realtime.append(
    text, bigint, text, json, bigint, text, text, bigint
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.append(
    text, bigint, text, json, bigint, text, text, bigint
) TO roost_api;

COMMENT ON FUNCTION realtime.append(
    text, bigint, text, json, bigint, text, text, bigint
) IS
'Writes an event under an offset that the caller has just taken under the topic''s row lock.
Where roost.hands_over is on, roost.touched gets the event itself, with tabs between its parts, and
not just its topic. p_about_offset is the offset of the event that made what this one is about,
p_revokes a user id or everybody: whose right to the topic ends with it. p_grants_topic is the topic
that whoever receives this in their inbox may read from now on, p_grants_after the offset to begin
behind.';

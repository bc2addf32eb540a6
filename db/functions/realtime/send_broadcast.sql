-- Every ephemeral event of a client comes this way, over the socket and by call.
CREATE OR REPLACE FUNCTION realtime.send_broadcast(p_topic text, p_event text, p_payload json)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_user();

    IF NOT realtime.can_broadcast(p_topic) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'You may not broadcast to this topic.',
            DETAIL = format('Topic: %s', p_topic),
            HINT = 'Broadcast to conversation:<id> of a conversation in which you may send'
                ' messages and which is not archived, workspace:<id> of a workspace in which you'
                ' are editor or owner, user:<your id>, device:<id> of a device of yours, or'
                ' app:<your id>:<name>.';
    ELSIF realtime.is_reserved_event(p_topic, p_event) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'This event is sent by the server alone.',
            DETAIL = format('Topic: %s; event: %s', p_topic, p_event),
            HINT = 'Choose another name; what the server announces is done by calls, such as'
                ' send_message and set_typing.';
    END IF;

    PERFORM realtime.broadcast(p_topic, p_event, p_payload);
END;
$$;

REVOKE ALL ON FUNCTION realtime.send_broadcast(text, text, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.send_broadcast(text, text, json) TO roost_api, roost_user;

COMMENT ON FUNCTION realtime.send_broadcast(text, text, json) IS
'Sends an ephemeral event in the caller''s name. Errors: RO101, RO401 (not their topic, or an event
of the server''s), RO302 (more than 256 KiB of payload, or no proper name).';

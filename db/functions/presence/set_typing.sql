-- Takes no lock on the conversation: typing waits for no writer, and no writer for it. Whoever is
-- removed at this moment may thus be seen typing for some seconds more, though not by list_typing.
CREATE OR REPLACE FUNCTION api.set_typing(conversation_id uuid, typing boolean DEFAULT true)
RETURNS roost.typing
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_lasts CONSTANT interval := '6 seconds'::interval;
    v_typing roost.typing;
BEGIN
    PERFORM roost.require_permission(set_typing.conversation_id, 'message.send');

    v_typing.conversation_id := set_typing.conversation_id;
    v_typing.user_id := roost.current_user_id();
    -- Since the call began, register_device may have removed it. As the foreign key does, but
    -- before it refuses.
    SELECT device.id
    INTO v_typing.device_id
    FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
    FOR KEY SHARE;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The session has no device to type on.',
            DETAIL = format('Session: %s', roost.current_session_id()),
            HINT = 'Give the session one with register_device.';
    END IF;

    PERFORM roost.forget_typing(set_typing.conversation_id);

    v_typing.typing := set_typing.typing IS NOT FALSE;

    IF v_typing.typing THEN
        v_typing.expires_at := now() + c_lasts;

        INSERT INTO roost.typing_indicators (conversation_id, user_id, device_id, expires_at)
        VALUES (
            v_typing.conversation_id, v_typing.user_id, v_typing.device_id, v_typing.expires_at
        )
        ON CONFLICT ON CONSTRAINT typing_indicators_pkey
        DO UPDATE SET expires_at = excluded.expires_at;
    ELSE
        DELETE FROM roost.typing_indicators AS indicator
        WHERE indicator.conversation_id = v_typing.conversation_id
            AND indicator.user_id = v_typing.user_id
            AND indicator.device_id = v_typing.device_id;
    END IF;

    -- Nobody need hear that somebody who did not type has stopped.
    IF FOUND THEN
        PERFORM realtime.broadcast(
            format('conversation:%s', v_typing.conversation_id), 'typing', row_to_json(v_typing)
        );
    END IF;

    RETURN v_typing;
END;
$$;

ALTER FUNCTION api.set_typing(uuid, boolean) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.set_typing(uuid, boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.set_typing(uuid, boolean) TO roost_user;

COMMENT ON FUNCTION api.set_typing(uuid, boolean) IS
'Shows that the caller is typing on the calling device, for 6 seconds: call it again every few
seconds for as long as that lasts, and with false when it is over. Whoever is live on
conversation:<id> gets typing, which carries what this answers; it is not stored.

Callers: members, admins and the owner of the conversation.
Arguments: conversation_id. typing, false to stop.
Returns: an object: conversation_id, user_id, device_id, typing, and expires_at, when it is over
unless it is said again.
Errors: RO101, RO201 (not your conversation), RO202 (viewer), RO203 (archived), RO302 (the session
has no device).
Example: POST /rpc/set_typing {"conversation_id": "<id>"}';

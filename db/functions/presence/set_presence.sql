CREATE OR REPLACE FUNCTION api.set_presence(
    status roost.presence_status DEFAULT 'online',
    activity text DEFAULT NULL
)
RETURNS roost.presence
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device_id uuid;
    v_presence roost.presence;
BEGIN
    -- Of two devices of a person that change at once, the second merges what the first has set.
    PERFORM roost.lock_presence(ARRAY[v_user_id]);

    -- Since the call began, register_device may have removed it. As the foreign key does, but
    -- before it refuses.
    SELECT device.id
    INTO v_device_id
    FROM roost.devices AS device
    WHERE device.id = roost.current_device_id() AND device.user_id = v_user_id
    FOR KEY SHARE;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The session has no device to be present on.',
            DETAIL = format('Session: %s', roost.current_session_id()),
            HINT = 'Give the session one with register_device.';
    END IF;

    INSERT INTO roost.device_presence (device_id, user_id, status, activity)
    VALUES (
        v_device_id,
        v_user_id,
        coalesce(set_presence.status, 'online'),
        set_presence.activity
    )
    ON CONFLICT ON CONSTRAINT device_presence_pkey DO UPDATE
    SET status = excluded.status,
        activity = excluded.activity,
        last_seen = excluded.last_seen,
        updated_at = excluded.updated_at;

    PERFORM roost.announce_presence(ARRAY[v_user_id]);

    SELECT presence.*
    INTO STRICT v_presence
    FROM roost.read_presence(ARRAY[v_user_id]) AS presence;

    RETURN v_presence;
END;
$$;

ALTER FUNCTION api.set_presence(roost.presence_status, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.set_presence(roost.presence_status, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.set_presence(roost.presence_status, text) TO roost_user;

COMMENT ON FUNCTION api.set_presence(roost.presence_status, text) IS
'Says how the calling device wants to be seen, and what is being done on it. That counts while the
device has a socket open that has joined something, and stays until it is set again; offline hides
the device. People are merged from their devices: busy comes before online, online before idle, idle
before offline. When that changes, presence with user_id, status, activity and last_seen goes to
user:<id> and to conversation:<id> of the 500 most recently active conversations that the person
shares with somebody; it is not stored.

Callers: signed-in people.
Arguments: status, one of online, idle, busy, offline. activity, 1 to 200 characters, or null for
none.
Returns: an object, the caller as get_presence answers them.
Errors: RO101, RO302 (the session has no device), 22P02 (unknown status), 23514 (activity too long
or empty).
Example: POST /rpc/set_presence {"status": "busy", "activity": "In a meeting"}';

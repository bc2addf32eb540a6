CREATE OR REPLACE FUNCTION api.heartbeat_extension_connection(
    connection_id uuid,
    state roost.extension_state DEFAULT 'connected'
)
RETURNS roost.extension_connection
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_connection roost.extension_connections;
BEGIN
    IF heartbeat_extension_connection.state = 'closed' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'A heartbeat does not close a connection.',
            HINT = 'Send connected or idle, or call close_extension_connection.';
    END IF;

    -- A closed connection stays closed: a late heartbeat must not bring it back.
    UPDATE roost.extension_connections AS connection
    SET state = heartbeat_extension_connection.state,
        last_heartbeat = now()
    WHERE connection.id = heartbeat_extension_connection.connection_id
        AND connection.user_id = v_user_id
        AND connection.state <> 'closed'
    RETURNING connection.* INTO v_connection;

    IF NOT FOUND THEN
        PERFORM roost.refuse_extension_connection(heartbeat_extension_connection.connection_id);
    END IF;

    RETURN roost.describe_extension_connection(v_connection);
END;
$$;

ALTER FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state)
TO roost_user;

COMMENT ON FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state) IS
'Records a sign of life of an editor extension.

Callers: signed-in people.
Arguments: connection_id, an open connection of the caller''s. state, connected or idle.
Returns: the connection, an object.
Errors: RO101, RO201 (not your connection, or closed), RO302 (state closed), 22P02 (unknown state).
Example: POST /rpc/heartbeat_extension_connection {"connection_id": "<id>", "state": "idle"}';

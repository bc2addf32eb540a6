CREATE OR REPLACE FUNCTION api.close_extension_connection(connection_id uuid)
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
    UPDATE roost.extension_connections AS connection
    SET state = 'closed',
        closed_at = coalesce(connection.closed_at, now())
    WHERE connection.id = close_extension_connection.connection_id
        AND connection.user_id = v_user_id
    RETURNING connection.* INTO v_connection;

    IF NOT FOUND THEN
        PERFORM roost.refuse_extension_connection(close_extension_connection.connection_id);
    END IF;

    RETURN roost.describe_extension_connection(v_connection);
END;
$$;

ALTER FUNCTION api.close_extension_connection(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.close_extension_connection(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.close_extension_connection(uuid) TO roost_user;

COMMENT ON FUNCTION api.close_extension_connection(uuid) IS
'Records that an editor extension has gone. Closing it again changes nothing.

Callers: signed-in people.
Arguments: connection_id, a connection of the caller''s.
Returns: the connection, an object.
Errors: RO101, RO201 (not your connection).
Example: POST /rpc/close_extension_connection {"connection_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.open_extension_connection(
    editor text,
    version text DEFAULT '',
    workspace_path text DEFAULT ''
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
    -- Locks out a revocation of the device until the connection is there to be closed by it.
    PERFORM
    FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
        AND device.user_id = v_user_id
        AND device.status = 'active'
    FOR SHARE;

    IF NOT FOUND THEN
        PERFORM roost.refuse_device(roost.current_device_id());
    END IF;

    INSERT INTO roost.extension_connections AS connection (
        user_id, device_id, editor, version, workspace_path
    )
    VALUES (
        v_user_id,
        roost.current_device_id(),
        open_extension_connection.editor,
        open_extension_connection.version,
        open_extension_connection.workspace_path
    )
    RETURNING connection.* INTO v_connection;

    RETURN roost.describe_extension_connection(v_connection);
END;
$$;

ALTER FUNCTION api.open_extension_connection(text, text, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.open_extension_connection(text, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.open_extension_connection(text, text, text) TO roost_user;

COMMENT ON FUNCTION api.open_extension_connection(text, text, text) IS
'Records that an editor extension on the calling device is connected.

Callers: signed-in people.
Arguments: editor, 1 to 100 characters. version, at most 100 characters. workspace_path, at most
4096 characters.
Returns: the connection, an object.
Errors: RO101, RO201 (the device was revoked), 23514 (a value does not fit).
Example: POST /rpc/open_extension_connection {"editor": "vscode", "version": "1.2.0"}';

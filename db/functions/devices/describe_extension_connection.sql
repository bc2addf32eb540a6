CREATE OR REPLACE FUNCTION roost.describe_extension_connection(
    p_connection roost.extension_connections
)
RETURNS roost.extension_connection
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_connection.id,
        p_connection.device_id,
        p_connection.editor,
        p_connection.version,
        p_connection.workspace_path,
        p_connection.state,
        p_connection.last_heartbeat,
        p_connection.created_at,
        p_connection.closed_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_extension_connection(roost.extension_connections) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_extension_connection(roost.extension_connections)
TO roost_api;

COMMENT ON FUNCTION roost.describe_extension_connection(roost.extension_connections) IS
'An extension connection as its owner sees it.';

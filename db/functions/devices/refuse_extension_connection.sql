CREATE OR REPLACE FUNCTION roost.refuse_extension_connection(p_connection_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RO201',
        MESSAGE = 'You have no such extension connection.',
        DETAIL = format('Connection: %s', coalesce(p_connection_id::text, 'null')),
        HINT = 'Send an id from list_extension_connections, or open a new connection.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_extension_connection(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.refuse_extension_connection(uuid) TO roost_api;

COMMENT ON FUNCTION roost.refuse_extension_connection(uuid) IS
'Raises RO201 about an extension connection.';

CREATE OR REPLACE FUNCTION api.list_extension_connections(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.extension_connection
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_extension_connections.page_size);

    RETURN QUERY
    SELECT described.*
    FROM roost.extension_connections AS connection
    CROSS JOIN LATERAL roost.describe_extension_connection(connection) AS described
    WHERE connection.user_id = v_user_id
        AND (
            list_extension_connections.before_id IS NULL
            OR connection.id < list_extension_connections.before_id
        )
    ORDER BY connection.id DESC
    LIMIT list_extension_connections.page_size;
END;
$$;

ALTER FUNCTION api.list_extension_connections(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_extension_connections(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_extension_connections(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_extension_connections(integer, uuid) IS
'Lists the editor extensions that are, or were, connected on the caller''s devices, newest first.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of connections.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_extension_connections {}';

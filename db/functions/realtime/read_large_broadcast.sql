CREATE OR REPLACE FUNCTION realtime.read_large_broadcast(p_id uuid)
RETURNS json
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT large.payload FROM realtime.large_broadcasts AS large WHERE large.id = p_id
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.read_large_broadcast(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_large_broadcast(uuid) TO roost_gateway;

COMMENT ON FUNCTION realtime.read_large_broadcast(uuid) IS
'The payload of an ephemeral event, by the id in its line (see realtime.broadcast); NULL when it has
gone, a minute after it was sent, or with a crash of the database.';

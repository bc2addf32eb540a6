-- An update first: an insert that finds a row is written twice as large. The row can be gone when
-- other servers took this one for dead, and what it had written with it.
CREATE OR REPLACE FUNCTION roost.beat(p_server_id uuid)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE roost.servers AS server
    SET beat_at = now()
    WHERE server.id = p_server_id;

    IF NOT FOUND THEN
        INSERT INTO roost.servers (id) VALUES (p_server_id);
        RETURN true;
    END IF;

    RETURN false;
END;
$$;

REVOKE ALL ON FUNCTION roost.beat(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.beat(uuid) TO roost_gateway;

COMMENT ON FUNCTION roost.beat(uuid) IS
'A server''s sign of life, to be given every few seconds. Answers whether the server was unknown:
then nothing is known of its sockets, and it has to record all of them.';

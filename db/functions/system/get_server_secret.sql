CREATE OR REPLACE FUNCTION roost.get_server_secret(p_name text)
RETURNS text
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT secret.value FROM roost.server_secrets AS secret WHERE secret.name = p_name;
$$;

REVOKE ALL ON FUNCTION roost.get_server_secret(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_server_secret(text) TO roost_gateway;

COMMENT ON FUNCTION roost.get_server_secret(text) IS
'The key that the servers of this database share for one purpose. For the gateway alone.';

CREATE OR REPLACE FUNCTION api.ping()
RETURNS text
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'pong';
$$;

ALTER FUNCTION api.ping() OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.ping() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.ping() TO roost_anon, roost_user, roost_service;

COMMENT ON FUNCTION api.ping() IS
'Answers "pong": the server, the database and the token in between are in order.

Callers: everyone.
Returns: text.
Errors: RO102 when a token is sent whose session is over.
Example: POST /rpc/ping {}';

-- An identifier in 22 characters instead of 36: there is one in every vector.
CREATE OR REPLACE FUNCTION roost.search_key(p_id uuid)
RETURNS text
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
RETURN pg_catalog.left(pg_catalog.encode(pg_catalog.uuid_send(p_id), 'base64'), 22);

REVOKE ALL ON FUNCTION roost.search_key(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.search_key(uuid) TO roost_api;

COMMENT ON FUNCTION roost.search_key(uuid) IS
'An identifier as the marks in a search vector have it.';

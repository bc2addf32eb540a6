-- Extensions may be in any schema: whoever installed them chose it.
CREATE OR REPLACE FUNCTION roost.extension_schema(p_extension text)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT namespace.nspname::text
    FROM pg_catalog.pg_extension AS extension
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = extension.extnamespace
    WHERE extension.extname = p_extension;
$$;

REVOKE ALL ON FUNCTION roost.extension_schema(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.extension_schema(text) TO roost_api;

COMMENT ON FUNCTION roost.extension_schema(text) IS
'The schema of an installed extension, NULL when it is not installed.';

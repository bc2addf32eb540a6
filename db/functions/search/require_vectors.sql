CREATE OR REPLACE FUNCTION roost.require_vectors()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_schema text := roost.extension_schema('vector');
BEGIN
    IF v_schema IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO501',
            MESSAGE = 'This database can''t search by meaning.',
            DETAIL = 'The extension vector (pgvector) is not installed.',
            HINT = 'Leave out embedding and model, or let an administrator of the database run'
                ' CREATE EXTENSION vector WITH SCHEMA extensions;';
    END IF;

    RETURN v_schema;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_vectors() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_vectors() TO roost_api;

COMMENT ON FUNCTION roost.require_vectors() IS
'The schema of the extension vector. Raises RO501 where it is not installed.';

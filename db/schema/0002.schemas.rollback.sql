ALTER DEFAULT PRIVILEGES FOR ROLE roost_api GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

-- Whatever a later release or an operator put beside the tables goes with the schemas.
DROP SCHEMA realtime CASCADE;

DROP SCHEMA api CASCADE;

DROP SCHEMA roost CASCADE;

REVOKE USAGE ON SCHEMA extensions FROM roost_owner, roost_api;

-- Shared with other applications of this database: each is dropped only when Roost made it and
-- nothing else has come to use it.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_extension AS extension
        WHERE extension.extname = 'citext'
            AND pg_catalog.obj_description(extension.oid, 'pg_extension') LIKE '%Made by Roost.'
    ) THEN
        DROP EXTENSION citext;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        RAISE NOTICE 'extension citext is kept: something else uses it';
END;
$$;

DO $$
BEGIN
    IF pg_catalog.obj_description('extensions'::pg_catalog.regnamespace, 'pg_namespace')
        LIKE '%Made by Roost.'
    THEN
        DROP SCHEMA extensions;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        RAISE NOTICE 'schema extensions is kept: something else is in it';
END;
$$;

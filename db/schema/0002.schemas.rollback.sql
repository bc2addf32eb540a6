SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Whatever a later release or an operator put beside the tables goes with the schemas.
DROP SCHEMA realtime CASCADE;

DROP SCHEMA api CASCADE;

DROP SCHEMA roost CASCADE;

RESET ROLE;

DO $$
BEGIN
    IF pg_catalog.has_schema_privilege(
        to_regnamespace('extensions')::oid, 'USAGE WITH GRANT OPTION'
    ) THEN
        REVOKE USAGE ON SCHEMA extensions FROM roost_owner, roost_api;
    END IF;
END;
$$;

-- Shared with other applications of this database: each is dropped only when Roost made it, nothing
-- else has come to use it, and it belongs to whoever runs this.
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
    WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        RAISE NOTICE USING MESSAGE = 'The extension citext is kept.', DETAIL = SQLERRM;
END;
$$;

DO $$
BEGIN
    IF pg_catalog.obj_description(to_regnamespace('extensions')::oid, 'pg_namespace')
        LIKE '%Made by Roost.'
    THEN
        DROP SCHEMA extensions;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        RAISE NOTICE USING MESSAGE = 'The schema extensions is kept.', DETAIL = SQLERRM;
END;
$$;

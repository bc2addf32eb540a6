ALTER DEFAULT PRIVILEGES FOR ROLE roost_api GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

-- Whatever a later release or an operator put beside the tables goes with the schemas.
DROP SCHEMA realtime CASCADE;

DROP SCHEMA api CASCADE;

DROP SCHEMA roost CASCADE;

-- Shared with other applications of this database: dropped only when nothing else is in it.
DO $$
BEGIN
    DROP EXTENSION citext;
    DROP SCHEMA extensions;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        RAISE NOTICE 'schema extensions is kept: something else uses it';
        REVOKE USAGE ON SCHEMA extensions FROM roost_owner, roost_api;
END;
$$;

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_api GRANT USAGE ON TYPES TO PUBLIC;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_api GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM roost_api;

ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO PUBLIC;

ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

RESET ROLE;

-- All of them or none: while another database of the cluster has something of Roost, it needs them
-- all. They go with the last one, if whoever removes that may drop them.
DO $$
BEGIN
    DROP ROLE IF EXISTS
        roost_gateway, roost_service, roost_user, roost_anon, roost_api, roost_owner;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        RAISE NOTICE USING
            MESSAGE = 'The roles of Roost are kept: something else uses them.',
            DETAIL = SQLERRM;
    WHEN insufficient_privilege THEN
        RAISE NOTICE USING
            MESSAGE = 'The roles of Roost are kept: only who made them, or a superuser, may drop'
                ' them.',
            DETAIL = SQLERRM;
END;
$$;

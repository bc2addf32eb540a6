-- depends: 0001.roles
-- The schemas, and who may look into them. Nothing is ever created in public.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA roost AUTHORIZATION roost_owner;

-- Owned by who owns its functions, so that a dump can be restored in the order in which pg_dump has
-- it: owners before rights.
CREATE SCHEMA api AUTHORIZATION roost_api;

CREATE SCHEMA realtime AUTHORIZATION roost_owner;

-- Other applications of this database may have made these two already. What Roost made is marked in
-- its comment, so that a rollback removes that and no more.
DO $$
BEGIN
    IF to_regnamespace('extensions') IS NULL THEN
        CREATE SCHEMA extensions;
        COMMENT ON SCHEMA extensions IS 'Extensions. Made by Roost.';
        -- Whatever this database gives away by default.
        REVOKE ALL ON SCHEMA extensions FROM PUBLIC;
    END IF;

    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_extension AS extension WHERE extension.extname = 'citext'
    ) THEN
        CREATE EXTENSION citext WITH SCHEMA extensions;
        COMMENT ON EXTENSION citext IS 'Text without regard to case. Made by Roost.';
    END IF;

    -- Where it is not Roost's to open, it is open to everybody: 0001 has looked.
    IF pg_catalog.has_schema_privilege('extensions', 'USAGE WITH GRANT OPTION') THEN
        GRANT USAGE ON SCHEMA extensions TO roost_owner, roost_api;
    END IF;

    -- A hardened database may keep everybody from new functions and types, those of extensions too.
    IF EXISTS (
        SELECT FROM pg_catalog.pg_extension AS extension
        JOIN pg_catalog.pg_depend AS part
            ON part.refclassid = 'pg_catalog.pg_extension'::regclass
            AND part.refobjid = extension.oid
        CROSS JOIN (VALUES ('roost_owner'), ('roost_api')) AS needing (role)
        WHERE extension.extname = 'citext'
            AND NOT CASE part.classid
                WHEN 'pg_catalog.pg_proc'::regclass
                    THEN pg_catalog.has_function_privilege(needing.role, part.objid, 'EXECUTE')
                WHEN 'pg_catalog.pg_type'::regclass
                    THEN pg_catalog.has_type_privilege(needing.role, part.objid, 'USAGE')
                ELSE pg_catalog.has_schema_privilege(needing.role, extension.extnamespace, 'USAGE')
            END
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'The extension citext is not open to Roost',
            DETAIL = 'By default this database opens nothing to others. Let a superuser run CREATE'
                ' SCHEMA IF NOT EXISTS extensions; CREATE EXTENSION IF NOT EXISTS citext WITH'
                ' SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO roost_owner, roost_api;'
                ' GRANT USAGE ON TYPE extensions.citext TO roost_owner, roost_api; GRANT EXECUTE ON'
                ' ALL FUNCTIONS IN SCHEMA extensions TO roost_owner, roost_api;',
            HINT = 'Do what the detail says, and start again.';
    END IF;
END;
$$;

SET LOCAL ROLE roost_owner;

COMMENT ON SCHEMA roost IS 'Tables, types and internal functions. Not reachable by clients.';

COMMENT ON SCHEMA api IS 'The functions that clients call: POST /rpc/<function>.';

COMMENT ON SCHEMA realtime IS 'Topics, events, publishing, and who may join what.';

GRANT USAGE ON SCHEMA roost, realtime TO roost_api;

GRANT USAGE, CREATE ON SCHEMA api TO roost_owner;

-- To name a type of an argument a caller needs its schema; that opens no table and no function.
GRANT USAGE ON SCHEMA api, roost TO roost_anon, roost_user, roost_service, roost_gateway;

GRANT USAGE ON SCHEMA realtime TO roost_user, roost_gateway;

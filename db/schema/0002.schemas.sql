-- The schemas, and who may look into them. Nothing is ever created in public.
CREATE SCHEMA roost AUTHORIZATION roost_owner;

CREATE SCHEMA api AUTHORIZATION roost_owner;

CREATE SCHEMA realtime AUTHORIZATION roost_owner;

-- Other applications of this database may have made these two already. What Roost made is marked in
-- its comment, so that a rollback removes that and no more.
DO $$
DECLARE
    v_schema text;
BEGIN
    IF to_regnamespace('extensions') IS NULL THEN
        CREATE SCHEMA extensions;
        COMMENT ON SCHEMA extensions IS 'Extensions. Made by Roost.';
    END IF;

    SELECT extension.extnamespace::regnamespace::text
    INTO v_schema
    FROM pg_catalog.pg_extension AS extension
    WHERE extension.extname = 'citext';

    IF v_schema IS NULL THEN
        CREATE EXTENSION citext WITH SCHEMA extensions;
        COMMENT ON EXTENSION citext IS 'Text without regard to case. Made by Roost.';
    ELSIF v_schema <> 'extensions' THEN
        -- The cure is in the detail as well, since whoever migrates may not be shown the hint.
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'The extension citext is not in schema extensions.',
            DETAIL = pg_catalog.format(
                'It is in schema %s. Run CREATE SCHEMA IF NOT EXISTS extensions;'
                ' ALTER EXTENSION citext SET SCHEMA extensions;',
                v_schema
            ),
            HINT = 'Move it as the detail says, and add schema extensions to the search_path of'
                ' those who use it already.';
    END IF;
END;
$$;

COMMENT ON SCHEMA roost IS 'Tables, types and internal functions. Not reachable by clients.';

COMMENT ON SCHEMA api IS 'The functions that clients call: POST /rpc/<function>.';

COMMENT ON SCHEMA realtime IS 'Topics, events, publishing, and who may join what.';

-- Rights are given by name, never by default.
ALTER DEFAULT PRIVILEGES FOR ROLE roost_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_api REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA extensions TO roost_owner, roost_api;

GRANT USAGE ON SCHEMA roost, realtime TO roost_api;

GRANT USAGE, CREATE ON SCHEMA api TO roost_api;

-- To name a type of an argument a caller needs its schema; that opens no table and no function.
GRANT USAGE ON SCHEMA api, roost TO roost_anon, roost_user, roost_service, roost_gateway;

GRANT USAGE ON SCHEMA realtime TO roost_user, roost_gateway;

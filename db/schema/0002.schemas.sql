-- The schemas, and who may look into them. Nothing is ever created in public.
CREATE SCHEMA roost AUTHORIZATION roost_owner;

CREATE SCHEMA api AUTHORIZATION roost_owner;

CREATE SCHEMA realtime AUTHORIZATION roost_owner;

CREATE SCHEMA IF NOT EXISTS extensions;

CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA extensions;

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

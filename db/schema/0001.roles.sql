-- The roles of Roost. Roles belong to the cluster, not to a database: a second database on the same
-- server finds them there, so each is made only where it is missing. Two databases that are migrated
-- at the same moment race for the same names; the loser's error is the state that it wanted.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY[
        'roost_owner', 'roost_api', 'roost_anon', 'roost_user', 'roost_service', 'roost_gateway'
    ]
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS role WHERE role.rolname = v_role) THEN
            BEGIN
                EXECUTE pg_catalog.format(
                    'CREATE ROLE %I %s',
                    v_role,
                    CASE v_role WHEN 'roost_gateway' THEN 'LOGIN NOINHERIT' ELSE 'NOLOGIN' END
                );
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;
            END;
        END IF;
    END LOOP;
END;
$$;

COMMENT ON ROLE roost_owner IS 'Owns every object of Roost. No login: migrations become it.';

COMMENT ON ROLE roost_api IS
'Owns the functions of schema api and runs them. Owns no table, so row-level security holds inside.';

COMMENT ON ROLE roost_anon IS 'A caller who is not signed in.';

COMMENT ON ROLE roost_user IS 'A signed-in person.';

COMMENT ON ROLE roost_service IS 'A trusted back-end service.';

COMMENT ON ROLE roost_gateway IS
'What the server connects as. Has no rights on tables; may become anon, user or service.';

GRANT roost_anon, roost_user, roost_service TO roost_gateway;

-- The owner hands the functions of api over to roost_api.
GRANT roost_api TO roost_owner;

-- Whoever migrates becomes the owner for the rest of the migrations, and may serve in development.
GRANT roost_owner, roost_gateway TO CURRENT_USER;

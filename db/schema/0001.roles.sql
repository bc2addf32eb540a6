-- The roles of Roost. Roles belong to the cluster, not to a database: a second database on the same
-- server finds them there, so only what is missing is made, and only that takes a right.

-- Here and in every file: whoever may create in a schema that this session would look in could put
-- a function or an operator there, and it would be run with the rights of who migrates.
SET LOCAL search_path = pg_catalog, pg_temp;

-- What installing needs is looked at before anything is made, and all that is missing is said in
-- one message. Each cure is in the detail, since not every tool shows the hint. roost runs this and
-- the statement before it by themselves first.
DO $$
DECLARE
    v_version CONSTANT integer := pg_catalog.current_setting('server_version_num');
    v_user pg_catalog.pg_roles;
    v_complaints text;
BEGIN
    SELECT role.* INTO v_user FROM pg_catalog.pg_roles AS role WHERE role.rolname = current_user;

    SELECT pg_catalog.string_agg(found.complaint, ' ')
    INTO v_complaints
    FROM (
        SELECT pg_catalog.format(
            'This is PostgreSQL %s: Roost needs 15 or newer.',
            pg_catalog.current_setting('server_version')
        )
        WHERE v_version < 150000

        UNION ALL
        SELECT pg_catalog.format(
            'The database has the encoding %s: make one with ENCODING ''UTF8'' TEMPLATE template0.',
            pg_catalog.current_setting('server_encoding')
        )
        WHERE pg_catalog.current_setting('server_encoding') <> 'UTF8'

        UNION ALL
        SELECT pg_catalog.format(
            'Role %1$I may make no schema here: let %2$I run GRANT CREATE ON DATABASE %3$I TO'
            ' %1$I;',
            current_user,
            pg_catalog.pg_get_userbyid(database.datdba),
            database.datname
        )
        FROM pg_catalog.pg_database AS database
        WHERE database.datname = current_database()
            AND NOT pg_catalog.has_database_privilege(database.oid, 'CREATE')

        UNION ALL
        SELECT pg_catalog.format(
            'Role %1$I may not make %2$s: let a superuser run ALTER ROLE %1$I CREATEROLE;',
            current_user,
            pg_catalog.string_agg(wanted.role, ', ')
        )
        FROM (
            VALUES
                ('roost_owner'),
                ('roost_api'),
                ('roost_anon'),
                ('roost_user'),
                ('roost_service'),
                ('roost_gateway')
        ) AS wanted (role)
        WHERE to_regrole(wanted.role) IS NULL AND NOT (v_user.rolsuper OR v_user.rolcreaterole)
        HAVING pg_catalog.count(*) > 0

        -- Up to PostgreSQL 15 whoever may make roles may grant any. Since 16 that takes the ADMIN
        -- option, which a role's maker has, and a membership may come without SET. A role that is
        -- still to be made cannot be granted anything beforehand.
        UNION ALL
        SELECT pg_catalog.format(
            CASE
                WHEN missing.is_there
                    THEN 'Role %1$I is no member of %2$s: let %3$s run GRANT %2$s TO %1$I%4$s;'
                ELSE
                    'Role %5$I may make no role a member of %2$s: let %3$s run GRANT %2$s TO %5$I'
                    ' WITH ADMIN OPTION;'
            END,
            missing.member,
            missing.roles,
            coalesce(
                (
                    SELECT pg_catalog.string_agg(
                        pg_catalog.quote_ident(admin.rolname), ' or ' ORDER BY admin.rolname
                    ) || ' or a superuser'
                    FROM pg_catalog.pg_roles AS admin
                    WHERE NOT admin.rolsuper
                        AND (
                            (admin.rolcreaterole AND v_version < 160000)
                            OR pg_catalog.arraycontained(
                                missing.role_oids,
                                ARRAY(
                                    SELECT granted.roleid
                                    FROM pg_catalog.pg_auth_members AS granted
                                    WHERE granted.member = admin.oid AND granted.admin_option
                                )
                            )
                        )
                ),
                'a superuser'
            ),
            CASE WHEN missing.is_without_set THEN ' WITH SET TRUE' END,
            current_user
        )
        FROM (
            SELECT
                wanted.member,
                pg_catalog.bool_or(member.oid IS NOT NULL) AS is_there,
                pg_catalog.string_agg(wanted.role, ', ' ORDER BY wanted.role DESC) AS roles,
                pg_catalog.array_agg(role.oid) AS role_oids,
                pg_catalog.bool_or(
                    v_version >= 160000 AND pg_catalog.pg_has_role(member.oid, role.oid, 'MEMBER')
                ) AS is_without_set
            FROM (
                VALUES
                    ('roost_api', 'roost_owner'),
                    ('roost_anon', 'roost_gateway'),
                    ('roost_user', 'roost_gateway'),
                    ('roost_service', 'roost_gateway'),
                    ('roost_owner', current_user),
                    ('roost_gateway', current_user)
            ) AS wanted (role, member)
            JOIN pg_catalog.pg_roles AS role ON role.rolname = wanted.role
            LEFT JOIN pg_catalog.pg_roles AS member ON member.rolname = wanted.member
            WHERE pg_catalog.pg_has_role(
                    member.oid,
                    role.oid,
                    CASE WHEN v_version < 160000 THEN 'MEMBER' ELSE 'SET' END
                ) IS NOT TRUE
                AND NOT pg_catalog.pg_has_role(role.oid, 'MEMBER WITH ADMIN OPTION')
                AND NOT (v_user.rolcreaterole AND v_version < 160000)
            GROUP BY wanted.member
            ORDER BY wanted.member
        ) AS missing

        -- Roles that somebody made beforehand, with attributes that would go round Roost's rules.
        UNION ALL
        SELECT pg_catalog.format(
            'Role %1$s is not what Roost can use: let a superuser run ALTER ROLE %1$s %2$s;',
            made.role,
            made.cure
        )
        FROM (
            SELECT
                role.rolname AS role,
                pg_catalog.concat_ws(
                    ' ',
                    CASE WHEN role.rolsuper THEN 'NOSUPERUSER' END,
                    CASE WHEN role.rolbypassrls THEN 'NOBYPASSRLS' END,
                    CASE
                        WHEN role.rolname = 'roost_gateway' AND role.rolinherit THEN 'NOINHERIT'
                    END,
                    CASE
                        WHEN role.rolname = 'roost_gateway' AND NOT role.rolcanlogin THEN 'LOGIN'
                    END
                ) AS cure
            FROM pg_catalog.pg_roles AS role
            WHERE role.rolname IN (
                    'roost_owner', 'roost_api', 'roost_anon', 'roost_user', 'roost_service',
                    'roost_gateway'
                )
            ORDER BY role.rolname
        ) AS made
        WHERE made.cure <> ''

        UNION ALL
        SELECT CASE
            WHEN namespace.nspowner IN (to_regrole('roost_owner'), to_regrole('roost_api'))
                THEN pg_catalog.format(
                    'Schema %s is Roost''s, but the tool that runs this did not make it: go on with'
                    ' the one that did, or hand the database over: roost adopt, or sqitch deploy'
                    ' --log-only.',
                    namespace.nspname
                )
            ELSE pg_catalog.format(
                'There is a schema %1$s, which is not Roost''s: choose another database, or let'
                ' %2$I run ALTER SCHEMA %1$s RENAME TO other_%1$s;',
                namespace.nspname,
                pg_catalog.pg_get_userbyid(namespace.nspowner)
            )
        END
        FROM pg_catalog.pg_namespace AS namespace
        WHERE namespace.nspname IN ('api', 'realtime', 'roost')

        -- Other applications may have made the schema extensions, and citext in it.
        UNION ALL
        SELECT pg_catalog.format(
            'Role %1$I may not open the schema extensions to others: let %2$I run'
            ' GRANT USAGE ON SCHEMA extensions TO %1$I WITH GRANT OPTION;',
            current_user,
            pg_catalog.pg_get_userbyid(namespace.nspowner)
        )
        FROM pg_catalog.pg_namespace AS namespace
        WHERE namespace.nspname = 'extensions'
            AND NOT pg_catalog.has_schema_privilege(namespace.oid, 'USAGE WITH GRANT OPTION')
            AND NOT pg_catalog.has_schema_privilege('public', namespace.oid, 'USAGE')

        UNION ALL
        SELECT pg_catalog.format(
            'The extension citext is in schema %s: run CREATE SCHEMA IF NOT EXISTS extensions;'
            ' ALTER EXTENSION citext SET SCHEMA extensions; and add extensions to the search_path'
            ' of those who use it.',
            extension.extnamespace::regnamespace
        )
        FROM pg_catalog.pg_extension AS extension
        WHERE extension.extname = 'citext'
            AND extension.extnamespace <> coalesce(to_regnamespace('extensions')::oid, 0)

        UNION ALL
        SELECT CASE
            WHEN pg_catalog.count(*) = 0 THEN
                'The server has no extension citext: install PostgreSQL''s contrib package there,'
                ' which many systems call postgresql-contrib.'
            WHEN NOT (v_user.rolsuper OR pg_catalog.bool_or(version.trusted)) THEN
                'The extension citext is not a trusted one here: let a superuser run CREATE SCHEMA'
                ' IF NOT EXISTS extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC; CREATE'
                ' EXTENSION citext WITH SCHEMA extensions;'
        END
        FROM pg_catalog.pg_available_extensions AS available
        JOIN pg_catalog.pg_available_extension_versions AS version
            ON version.name = available.name AND version.version = available.default_version
        WHERE available.name = 'citext'
        HAVING NOT EXISTS (
            SELECT FROM pg_catalog.pg_extension AS extension WHERE extension.extname = 'citext'
        )
    ) AS found (complaint);

    IF v_complaints IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = pg_catalog.format(
                'Role %I cannot install Roost in database %I yet', current_user, current_database()
            ),
            DETAIL = v_complaints,
            HINT = 'Do what the detail says, and start again: nothing has been made.';
    END IF;
END;
$$;

-- Two databases that are migrated at the same moment race for the same names; the loser's error is
-- the state that it wanted.
DO $$
DECLARE
    v_role text;
    v_comment text;
BEGIN
    FOR v_role, v_comment IN
        VALUES
            ('roost_owner', 'Owns every object of Roost. No login: migrations become it.'),
            (
                'roost_api',
                'Owns the functions of schema api and runs them. Owns no table, so row-level'
                ' security holds inside.'
            ),
            ('roost_anon', 'A caller who is not signed in.'),
            ('roost_user', 'A signed-in person.'),
            ('roost_service', 'A trusted back-end service.'),
            (
                'roost_gateway',
                'What the server connects as. Has no rights on tables; may become anon, user or'
                ' service.'
            )
    LOOP
        CONTINUE WHEN to_regrole(v_role) IS NOT NULL;
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE ROLE %I %s',
                v_role,
                CASE v_role WHEN 'roost_gateway' THEN 'LOGIN NOINHERIT' ELSE 'NOLOGIN' END
            );
            EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', v_role, v_comment);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END LOOP;
END;
$$;

-- Nor is a membership granted twice: that takes the right to grant it, which since PostgreSQL 16 is
-- the right of the roles' maker alone.
DO $$
DECLARE
    v_has_options CONSTANT boolean
        := pg_catalog.current_setting('server_version_num')::integer >= 160000;
    v_role text;
    v_member text;
BEGIN
    FOR v_role, v_member IN
        VALUES
            -- The owner hands the functions of api over to roost_api.
            ('roost_api', 'roost_owner'),
            ('roost_anon', 'roost_gateway'),
            ('roost_user', 'roost_gateway'),
            ('roost_service', 'roost_gateway'),
            -- Whoever migrates becomes the owner, and may serve in development.
            ('roost_owner', current_user),
            ('roost_gateway', current_user)
    LOOP
        CONTINUE WHEN pg_catalog.pg_has_role(
            v_member, v_role, CASE WHEN v_has_options THEN 'SET' ELSE 'MEMBER' END
        );
        BEGIN
            -- The server may be told to make a role's maker a member without SET.
            EXECUTE pg_catalog.format(
                'GRANT %I TO %I %s',
                v_role,
                v_member,
                CASE WHEN v_has_options THEN 'WITH SET TRUE' END
            );
        EXCEPTION
            WHEN unique_violation THEN
                NULL;
        END;
    END LOOP;
END;
$$;

-- Rights are given by name, never by default. This also keeps the roles from here on: none that a
-- database of the cluster has something of can be dropped with another.
SET LOCAL ROLE roost_owner;

ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;

ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO roost_api;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_api REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

ALTER DEFAULT PRIVILEGES FOR ROLE roost_api REVOKE USAGE ON TYPES FROM PUBLIC;

RESET ROLE;

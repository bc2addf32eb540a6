-- The catalogue: rules that hold for every table, column and function, new ones included.
BEGIN;

SELECT plan(26);

CREATE FUNCTION pg_temp.is_ours(p_namespace oid)
RETURNS boolean
LANGUAGE sql
RETURN p_namespace IN ('api'::regnamespace, 'roost'::regnamespace, 'realtime'::regnamespace);

-- Tables that somebody has thought of: a partition is described by what it is a part of.
CREATE TEMPORARY VIEW our_table AS
SELECT c.oid, c.oid::regclass::text AS name
FROM pg_catalog.pg_class AS c
WHERE pg_temp.is_ours(c.relnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition;
CREATE TEMPORARY VIEW our_function AS
SELECT
    p.oid,
    p.pronamespace::regnamespace::text AS schema,
    p.proname::text AS name,
    p.proowner,
    p.pronargs,
    p.prosecdef,
    coalesce(p.proacl, acldefault('f', p.proowner)) AS acl,
    obj_description(p.oid, 'pg_proc') AS comment
FROM pg_catalog.pg_proc AS p
WHERE pg_temp.is_ours(p.pronamespace);

-- Places
SELECT is_empty(
    $$
        SELECT c.relname FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT p.proname FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
    $$,
    'nothing is in public'
);
SELECT is_empty(
    $$ SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'api'::regnamespace $$,
    'api has functions only'
);

-- Rights on schemas and tables
SELECT is_empty(
    format(
        $$
            SELECT namespace.nspname FROM pg_catalog.pg_namespace AS namespace
            WHERE namespace.nspname !~ '^pg_' AND namespace.nspname <> 'tap'
                AND has_schema_privilege(%L, namespace.oid, 'CREATE')
        $$,
        caller.role
    ),
    caller.role || ' may make nothing in any schema'
)
FROM (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')
) AS caller (role);
SELECT is_empty(
    format(
        $$
            SELECT c.oid::regclass FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = c.relnamespace
            WHERE namespace.nspname !~ '^pg_' AND namespace.nspname <> 'information_schema'
                AND namespace.nspname <> 'tap'
                AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                AND (
                    has_table_privilege(
                        %1$L,
                        c.oid,
                        'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'
                    )
                    OR has_any_column_privilege(%1$L, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                )
        $$,
        caller.role
    ),
    caller.role || ' has no right on any table'
)
FROM (
    VALUES ('public'), ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')
) AS caller (role);

-- Row-level security
SELECT is_empty(
    $$
        SELECT c.oid::regclass FROM pg_catalog.pg_class AS c
        WHERE pg_temp.is_ours(c.relnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
    $$,
    'every table, and every partition, has row-level security'
);
SELECT is_empty(
    $$
        SELECT c.oid::regclass FROM pg_catalog.pg_class AS c
        WHERE pg_temp.is_ours(c.relnamespace) AND c.relowner <> 'roost_owner'::regrole
            AND c.relkind IN ('r', 'p')
    $$,
    'every table is owned by roost_owner, to which alone it does not apply'
);
SELECT set_eq(
    'SELECT DISTINCT policy.polrelid::regclass::text FROM pg_catalog.pg_policy AS policy',
    $$ VALUES
        ('roost.users'),
        ('roost.devices'),
        ('roost.extension_connections'),
        ('roost.sessions'),
        ('roost.conversations'),
        ('roost.conversation_participants'),
        ('roost.messages')
    $$,
    'the tables of user data have policies: each is probed in policies.sql'
);
SELECT is_empty(
    $$
        SELECT ours.name, command.name
        FROM our_table AS ours
        CROSS JOIN (
            VALUES ('SELECT', 'r'), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')
        ) AS command (name, letter)
        WHERE (
            has_table_privilege('roost_api', ours.oid, command.name)
            OR (
                command.name <> 'DELETE'
                AND has_any_column_privilege('roost_api', ours.oid, command.name)
            )
        ) <> EXISTS (
            SELECT FROM pg_catalog.pg_policy AS policy
            WHERE policy.polrelid = ours.oid AND policy.polcmd = command.letter::"char"
        )
    $$,
    'what the functions of api may do on a table there is a policy for, and for nothing else'
);
SELECT is_empty(
    $$
        SELECT policy.polname FROM pg_catalog.pg_policy AS policy
        WHERE policy.polroles <> ARRAY['roost_api'::regrole::oid] OR NOT policy.polpermissive
    $$,
    'policies are for the functions of api'
);

-- Who may call what. Within the schema roost_api and the owner call each other.
SELECT set_eq(
    $$
        SELECT
            format('%s.%s', ours.schema, ours.name),
            CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END
        FROM our_function AS ours
        CROSS JOIN LATERAL aclexplode(ours.acl) AS granted
        WHERE granted.grantee NOT IN ('roost_owner'::regrole, 'roost_api'::regrole)
    $$,
    $$
        SELECT listed.function, 'roost_' || allowed.role
        FROM (
            VALUES
                ('api.ping', 'anon user service'),

                ('api.get_me', 'user'),
                ('api.update_me', 'user'),

                ('api.register_device', 'user'),
                ('api.list_devices', 'user'),
                ('api.revoke_device', 'user'),
                ('api.open_extension_connection', 'user'),
                ('api.heartbeat_extension_connection', 'user'),
                ('api.close_extension_connection', 'user'),
                ('api.list_extension_connections', 'user'),

                ('api.list_sessions', 'user'),
                ('api.revoke_session', 'user'),

                ('api.create_conversation', 'user'),
                ('api.list_conversations', 'user'),
                ('api.add_participant', 'user'),

                ('api.send_message', 'user'),
                ('api.list_messages', 'user'),

                -- The server, as the caller
                ('roost.require_row_count', 'anon user service'),
                ('realtime.join_topic', 'user'),

                -- The server, for itself
                ('roost.begin_call', 'gateway'),
                ('roost.begin_sign_in', 'gateway'),
                ('roost.begin_sign_up', 'gateway'),
                ('roost.end_sessions', 'gateway'),
                ('roost.find_ended_sessions', 'gateway'),
                ('roost.finish_sign_in', 'gateway'),
                ('roost.get_error_codes', 'gateway'),
                ('roost.get_migration_checksums', 'gateway'),
                ('roost.get_server_secret', 'gateway'),
                ('roost.get_user', 'gateway'),
                ('roost.refresh_session', 'gateway'),
                ('roost.sign_up', 'gateway'),
                ('roost.update_user', 'gateway'),
                ('realtime.get_epoch', 'gateway'),
                ('realtime.maintain_partitions', 'gateway'),
                ('realtime.read_events', 'gateway')
        ) AS listed (function, roles)
        CROSS JOIN LATERAL unnest(string_to_array(listed.roles, ' ')) AS allowed (role)
    $$,
    'functions are granted to whom they are for, and to nobody else'
);
SELECT is_empty(
    $$
        SELECT ours.schema, ours.name FROM our_function AS ours
        GROUP BY ours.schema, ours.name HAVING count(*) > 1
    $$,
    'no function shares its name with another, so the list above names each of them'
);

-- Functions
SELECT is_empty(
    $$
        SELECT p.oid::regprocedure FROM pg_catalog.pg_proc AS p
        WHERE pg_temp.is_ours(p.pronamespace)
            AND p.prosqlbody IS NULL
            AND (p.proconfig @> '{"search_path=pg_catalog, pg_temp"}') IS NOT TRUE
    $$,
    'every function pins its search_path or was bound when it was made'
);
SELECT is_empty(
    $$
        SELECT ours.oid::regprocedure FROM our_function AS ours
        WHERE ours.proowner <> CASE ours.schema
            WHEN 'api' THEN 'roost_api'::regrole
            ELSE 'roost_owner'::regrole
        END
    $$,
    'functions of api are owned by roost_api, all others by roost_owner'
);
SELECT is_empty(
    $$
        SELECT ours.oid::regprocedure FROM our_function AS ours
        WHERE ours.schema = 'api' AND NOT ours.prosecdef
    $$,
    'functions of api run as roost_api'
);
SELECT is_empty(
    $$
        SELECT ours.oid::regprocedure FROM our_function AS ours
        WHERE ours.schema = 'api'
            AND (
                ours.comment ~ format(
                    '^\S.*\n\nCallers: .*\n%sReturns: .*\nErrors: .*\n'
                    'Example: POST /rpc/%s \{.*\}$',
                    CASE WHEN ours.pronargs > 0 THEN 'Arguments: .*\n' END,
                    ours.name
                )
            ) IS NOT TRUE
    $$,
    'functions of api say what they do, for whom, what they take, answer and refuse, and how'
);

-- Comments
SELECT is_empty(
    'SELECT ours.oid::regprocedure FROM our_function AS ours WHERE ours.comment IS NULL',
    'every function has a comment'
);
SELECT is_empty(
    $$
        SELECT ours.name, mentioned.code[1]
        FROM our_function AS ours
        CROSS JOIN LATERAL regexp_matches(ours.comment, '\mRO[0-9]+\M', 'g') AS mentioned (code)
        WHERE mentioned.code[1] NOT IN (SELECT known.code FROM roost.error_codes AS known)
    $$,
    'and names no error that does not exist'
);
SELECT is_empty(
    $$
        SELECT ours.name FROM our_table AS ours
        WHERE obj_description(ours.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT ours.name || '.' || attribute.attname
        FROM our_table AS ours
        JOIN pg_catalog.pg_attribute AS attribute
            ON attribute.attrelid = ours.oid
            AND attribute.attnum > 0
            AND NOT attribute.attisdropped
        WHERE col_description(ours.oid, attribute.attnum) IS NULL
    $$,
    'every table and every column has a comment'
);

-- Indexes. One that is partial serves a foreign key only if it leaves out nothing but NULL.
SELECT is_empty(
    $$
        SELECT c.conrelid::regclass, c.conname FROM pg_catalog.pg_constraint AS c
        WHERE c.contype = 'f'
            AND pg_temp.is_ours(c.connamespace)
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = c.conrelid
                    AND i.indisvalid
                    AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
                    AND (
                        i.indpred IS NULL
                        OR pg_get_expr(i.indpred, i.indrelid) IN (
                            SELECT format('(%I IS NOT NULL)', attribute.attname)
                            FROM pg_catalog.pg_attribute AS attribute
                            WHERE attribute.attrelid = c.conrelid
                                AND attribute.attnum = ANY (c.conkey)
                        )
                    )
            )
    $$,
    'every foreign key has an index that begins with its columns'
);

SELECT * FROM finish();

ROLLBACK;

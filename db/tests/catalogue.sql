-- The catalogue: rules that hold for every table, column and function, new ones included, also in a
-- database that other applications share.
BEGIN;

SELECT plan(29);

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
        SELECT pg_describe_object(owned.classid, owned.objid, owned.objsubid)
        FROM pg_catalog.pg_shdepend AS owned
        JOIN pg_catalog.pg_database AS database
            ON database.oid = owned.dbid AND database.datname = current_database()
        JOIN pg_catalog.pg_depend AS placed
            ON placed.classid = owned.classid
            AND placed.objid = owned.objid
            AND placed.refclassid = 'pg_namespace'::regclass
        WHERE owned.refclassid = 'pg_authid'::regclass
            AND owned.refobjid IN ('roost_owner'::regrole, 'roost_api'::regrole)
            AND owned.deptype = 'o'
            AND NOT pg_temp.is_ours(placed.refobjid)
    $$,
    'nothing of Roost is in public, nor in any schema but its own'
);
SELECT is_empty(
    $$ SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'api'::regnamespace $$,
    'api has functions only'
);

-- Rights on schemas, tables and types; those on functions are listed below. The row type of a table
-- keeps no rights of its own, nor does an array: the table's and the element's count.
SELECT is_empty(
    $$
        SELECT owned.what, granted.privilege_type
        FROM (
            SELECT
                format('schema %s', namespace.oid::regnamespace),
                coalesce(namespace.nspacl, acldefault('n', namespace.nspowner))
            FROM pg_catalog.pg_namespace AS namespace
            WHERE pg_temp.is_ours(namespace.oid)
            UNION ALL
            SELECT
                c.oid::regclass::text,
                coalesce(
                    c.relacl,
                    acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
                )
            FROM pg_catalog.pg_class AS c
            WHERE pg_temp.is_ours(c.relnamespace)
            UNION ALL
            SELECT format('%s.%I', c.oid::regclass, attribute.attname), attribute.attacl
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = c.oid
            WHERE pg_temp.is_ours(c.relnamespace)
            UNION ALL
            SELECT
                format('type %s', t.oid::regtype),
                coalesce(t.typacl, acldefault('T', t.typowner))
            FROM pg_catalog.pg_type AS t
            LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
            WHERE pg_temp.is_ours(t.typnamespace)
                AND t.typcategory <> 'A'
                AND t.typtype <> 'm'
                AND (c.relkind = 'c') IS NOT FALSE
        ) AS owned (what, acl)
        CROSS JOIN LATERAL aclexplode(owned.acl) AS granted
        WHERE granted.grantee = 0
    $$,
    'nothing is granted to PUBLIC'
);
SELECT is_empty(
    format(
        $$
            SELECT namespace.nspname FROM pg_catalog.pg_namespace AS namespace
            WHERE has_schema_privilege(%L, namespace.oid, 'CREATE')
                AND (
                    pg_temp.is_ours(namespace.oid)
                    OR NOT has_schema_privilege('public', namespace.oid, 'CREATE')
                )
        $$,
        caller.role
    ),
    caller.role || ' may make nothing in any schema that is not open to everybody'
)
FROM (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')
) AS caller (role);
SELECT is_empty(
    format(
        $$
            SELECT c.oid::regclass FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = c.relnamespace
            CROSS JOIN (
                VALUES
                    ('SELECT'),
                    ('INSERT'),
                    ('UPDATE'),
                    ('DELETE'),
                    ('TRUNCATE'),
                    ('REFERENCES'),
                    ('TRIGGER')
            ) AS command (name)
            WHERE namespace.nspname !~ '^pg_'
                AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                AND (
                    has_table_privilege(%1$L, c.oid, command.name)
                    OR (
                        command.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                        AND has_any_column_privilege(%1$L, c.oid, command.name)
                    )
                )
                AND (
                    pg_temp.is_ours(c.relnamespace)
                    OR NOT has_table_privilege('public', c.oid, command.name)
                )
        $$,
        caller.role
    ),
    caller.role || ' has no right on any table but those that everybody has'
)
FROM (
    VALUES ('roost_anon'), ('roost_user'), ('roost_service'), ('roost_gateway')
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
    $$
        SELECT ours.name FROM our_table AS ours
        WHERE EXISTS (
            SELECT FROM pg_catalog.pg_policy AS policy WHERE policy.polrelid = ours.oid
        )
    $$,
    $$ VALUES
        ('roost.users'),
        ('roost.devices'),
        ('roost.extension_connections'),
        ('roost.device_messages'),
        ('roost.device_message_outcomes'),
        ('roost.sessions'),
        ('roost.conversations'),
        ('roost.conversation_participants'),
        ('roost.workspaces'),
        ('roost.workspace_members'),
        ('roost.storage_usage'),
        ('roost.file_contents'),
        ('roost.content_chunks'),
        ('roost.chunk_leases'),
        ('roost.content_leases'),
        ('roost.uploads'),
        ('roost.upload_chunks'),
        ('roost.file_sync_state'),
        ('roost.file_versions'),
        ('roost.messages'),
        ('roost.message_changes'),
        ('roost.message_attachments'),
        ('roost.message_reactions'),
        ('roost.message_mentions'),
        ('roost.message_embeddings'),
        ('roost.typing_indicators'),
        ('roost.device_cursors'),
        ('roost.sync_scopes'),
        ('roost.event_subscriptions'),
        ('roost.sync_devices'),
        ('roost.sync_operations'),
        ('roost.sync_conflicts'),
        ('roost.offline_operations'),
        ('roost.device_presence'),
        ('roost.device_connections'),
        ('roost.announced_presence'),
        ('roost.conversation_permissions')
    $$,
    'the tables of user data have policies: each is probed in policies.sql'
);
SELECT is_empty(
    $$
        WITH RECURSIVE user_data (oid) AS (
            SELECT attribute.attrelid
            FROM pg_catalog.pg_attribute AS attribute
            WHERE attribute.attname = 'user_id'
            UNION
            SELECT 'roost.users'::regclass::oid
            UNION
            SELECT c.conrelid
            FROM user_data
            JOIN pg_catalog.pg_constraint AS c
                ON c.confrelid = user_data.oid AND c.contype = 'f'
        )
        SELECT ours.name
        FROM our_table AS ours
        JOIN user_data ON user_data.oid = ours.oid
        WHERE NOT EXISTS (
            SELECT FROM pg_catalog.pg_policy AS policy WHERE policy.polrelid = ours.oid
        )
    $$,
    'they are all that name a user, or belong to something that does'
);
SELECT set_eq(
    $$
        SELECT ours.name FROM our_table AS ours
        WHERE NOT has_any_column_privilege('roost_api', ours.oid, 'SELECT, INSERT, UPDATE')
            AND NOT has_table_privilege('roost_api', ours.oid, 'DELETE, TRUNCATE')
    $$,
    $$ VALUES
        ('realtime.client_event_ids'),
        ('realtime.events'),
        ('realtime.large_broadcasts'),
        ('realtime.log'),
        ('realtime.topic_prefixes'),
        ('realtime.presences'),
        ('realtime.topics'),
        ('roost.error_codes'),
        ('roost.file_chunks'),
        ('roost.login_attempts'),
        ('roost.message_backfill'),
        ('roost.message_search_index'),
        ('roost.migration_checksums'),
        ('roost.plan_limits'),
        ('roost.search_history'),
        ('roost.search_queue'),
        ('roost.server_secrets'),
        ('roost.servers'),
        ('roost.unused_chunks')
    $$,
    'the functions of api may touch no other table'
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
        SELECT ours.name, policy.polname
        FROM our_table AS ours
        JOIN pg_catalog.pg_policy AS policy ON policy.polrelid = ours.oid
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

                ('api.acknowledge_device_messages', 'user'),
                ('api.cancel_device_message', 'user'),
                ('api.list_device_messages', 'user'),
                ('api.send_device_message', 'user'),

                ('api.discard_operation', 'user'),
                ('api.enqueue_operations', 'user'),
                ('api.get_conflict', 'user'),
                ('api.list_conflicts', 'user'),
                ('api.list_offline_operations', 'user'),
                ('api.list_sync_operations', 'user'),
                ('api.process_offline_operations', 'user'),
                ('api.push_operations', 'user'),
                ('api.resolve_conflict', 'user'),
                ('api.retry_operation', 'user'),

                ('api.list_sessions', 'user'),
                ('api.revoke_session', 'user'),

                ('api.create_conversation', 'user'),
                ('api.list_conversations', 'user'),
                ('api.add_participant', 'user'),
                ('api.archive_conversation', 'user'),
                ('api.change_role', 'user'),
                ('api.delete_conversation', 'user'),
                ('api.get_conversation', 'user'),
                ('api.get_conversation_analytics', 'user'),
                ('api.get_my_analytics', 'user'),
                ('api.leave_conversation', 'user'),
                ('api.list_participants', 'user'),
                ('api.purge_conversation', 'user'),
                ('api.remove_participant', 'user'),
                ('api.restore_conversation', 'user'),
                ('api.set_retention', 'user'),
                ('api.transfer_ownership', 'user'),
                ('api.unarchive_conversation', 'user'),
                ('api.update_conversation', 'user'),

                ('api.add_workspace_member', 'user'),
                ('api.create_workspace', 'user'),
                ('api.delete_workspace', 'user'),
                ('api.get_workspace', 'user'),
                ('api.leave_workspace', 'user'),
                ('api.list_workspace_members', 'user'),
                ('api.list_workspaces', 'user'),
                ('api.remove_workspace_member', 'user'),
                ('api.touch_workspace', 'user'),
                ('api.update_workspace', 'user'),
                ('api.update_workspace_member', 'user'),

                ('api.list_uploads', 'user'),
                ('api.missing_chunks', 'user'),

                ('api.compare_file_versions', 'user'),
                ('api.copy_file', 'user'),
                ('api.delete_file', 'user'),
                ('api.diff_workspace', 'user'),
                ('api.get_file', 'user'),
                ('api.list_file_versions', 'user'),
                ('api.list_files', 'user'),
                ('api.make_folder', 'user'),
                ('api.move_file', 'user'),
                ('api.put_file_state', 'user'),
                ('api.put_file_states', 'user'),
                ('api.restore_file', 'user'),
                ('api.restore_file_version', 'user'),
                ('api.verify_file', 'user'),

                ('api.send_message', 'user'),
                ('api.list_messages', 'user'),
                ('api.add_reaction', 'user'),
                ('api.delete_message', 'user'),
                ('api.edit_message', 'user'),
                ('api.get_message', 'user'),
                ('api.list_attachments', 'user'),
                ('api.list_conversation_changes', 'user'),
                ('api.list_mentions', 'user'),
                ('api.list_message_changes', 'user'),
                ('api.list_reactions', 'user'),
                ('api.list_thread', 'user'),
                ('api.purge_message', 'user'),
                ('api.remove_reaction', 'user'),
                ('api.restore_message', 'user'),

                ('api.get_unread_counts', 'user'),
                ('api.list_readers', 'user'),
                ('api.mark_delivered', 'user'),
                ('api.mark_read', 'user'),

                ('api.get_presence', 'user'),
                ('api.list_presence', 'user'),
                ('api.list_typing', 'user'),
                ('api.set_presence', 'user'),
                ('api.set_typing', 'user'),

                ('api.acknowledge_events', 'user'),
                ('api.list_device_cursors', 'user'),
                ('api.publish_event', 'user'),
                ('api.broadcast_event', 'user'),
                ('api.set_event_subscription', 'user'),
                ('api.list_event_subscriptions', 'user'),
                ('api.delete_event_subscription', 'user'),

                ('api.ack_changes', 'user'),
                ('api.pull_changes', 'user'),
                ('api.reset_changes', 'user'),
                ('api.verify_scope', 'user'),

                ('api.search_messages', 'user'),
                ('api.set_message_embedding', 'user'),

                -- The server, as the caller
                ('roost.append_upload', 'user'),
                ('roost.begin_content', 'user'),
                ('roost.create_upload', 'user'),
                ('roost.delete_upload', 'user'),
                ('roost.find_upload', 'user'),
                ('roost.finish_upload', 'user'),
                ('roost.make_content', 'user'),
                ('roost.open_download', 'user'),
                ('roost.read_chunks', 'user'),
                ('roost.read_content', 'user'),
                ('roost.read_upload', 'user'),
                ('roost.require_row_count', 'anon user service'),
                ('roost.set_upload_length', 'user'),
                ('roost.store_chunks', 'user'),
                ('realtime.get_subscriptions', 'user'),
                ('realtime.ask_broadcasts', 'user'),
                ('realtime.join_topic', 'user'),
                ('realtime.send_broadcast', 'user'),

                -- The server, for itself
                ('roost.backfill_messages', 'gateway'),
                ('roost.backfill_participants', 'gateway'),
                ('roost.beat', 'gateway'),
                ('roost.begin_call', 'gateway'),
                ('roost.begin_link', 'gateway'),
                ('roost.begin_sign_in', 'gateway'),
                ('roost.begin_sign_up', 'gateway'),
                ('roost.collect_chunks', 'gateway'),
                ('roost.count_offline_operations', 'gateway'),
                ('roost.end_sessions', 'gateway'),
                ('roost.expire_chunk_leases', 'gateway'),
                ('roost.expire_content_leases', 'gateway'),
                ('roost.expire_device_messages', 'gateway'),
                ('roost.expire_files', 'gateway'),
                ('roost.expire_messages', 'gateway'),
                ('roost.expire_sync_operations', 'gateway'),
                ('roost.expire_typing', 'gateway'),
                ('roost.expire_uploads', 'gateway'),
                ('roost.find_ended_sessions', 'gateway'),
                ('roost.finish_sign_in', 'gateway'),
                ('roost.forget_servers', 'gateway'),
                ('roost.get_error_codes', 'gateway'),
                ('roost.get_migration_checksums', 'gateway'),
                ('roost.get_server_secret', 'gateway'),
                ('roost.get_user', 'gateway'),
                ('roost.index_messages', 'gateway'),
                ('roost.purge_conversations', 'gateway'),
                ('roost.purge_workspaces', 'gateway'),
                ('roost.record_presence', 'gateway'),
                ('roost.refresh_session', 'gateway'),
                ('roost.run_offline_operations', 'gateway'),
                ('roost.sign_up', 'gateway'),
                ('roost.update_user', 'gateway'),
                ('realtime.expire_client_event_ids', 'gateway'),
                ('realtime.expire_large_broadcasts', 'gateway'),
                ('realtime.get_epoch', 'gateway'),
                ('realtime.keep_large_broadcast', 'gateway'),
                ('realtime.maintain_partitions', 'gateway'),
                ('realtime.read_events', 'gateway'),
                ('realtime.read_large_broadcast', 'gateway'),
                ('realtime.read_presences', 'gateway'),
                ('realtime.record_presences', 'gateway')
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
SELECT is_empty(
    $$
        WITH RECURSIVE carried (function, name, type) AS (
            SELECT ours.oid, argument.name, argument.type
            FROM our_function AS ours
            JOIN pg_catalog.pg_proc AS p ON p.oid = ours.oid
            CROSS JOIN LATERAL unnest(
                p.proargnames || ARRAY['its result'],
                coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype
            ) AS argument (name, type)
            WHERE ours.schema = 'api'
            UNION
            SELECT carried.function, coalesce(attribute.attname, carried.name), part.type
            FROM carried
            JOIN pg_catalog.pg_type AS t ON t.oid = carried.type
            LEFT JOIN pg_catalog.pg_attribute AS attribute
                ON attribute.attrelid = t.typrelid
                AND attribute.attnum > 0
                AND NOT attribute.attisdropped
            CROSS JOIN LATERAL (
                VALUES (attribute.atttypid), (t.typelem), (t.typbasetype)
            ) AS part (type)
            WHERE part.type <> 0
        )
        SELECT carried.function::regprocedure, carried.name FROM carried
        WHERE carried.name ~* 'hash|password|secret|token'
            -- Of what is in a file.
            AND carried.name NOT IN ('hash', 'hashes')
    $$,
    'functions of api take and give no secrets, nor hashes of them, at any depth'
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

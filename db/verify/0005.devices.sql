SET LOCAL ROLE roost_owner;

SELECT
    ARRAY[
        'phone', 'tablet', 'laptop', 'desktop', 'editor', 'browser', 'server', 'other'
    ]::roost.device_type[],
    ARRAY['active', 'revoked']::roost.device_status[],
    ARRAY['connected', 'idle', 'closed']::roost.extension_state[]
WHERE false;

SELECT
    id, user_id, device_name, device_type, platform, capabilities, last_seen, status, created_at,
    updated_at
FROM roost.devices
WHERE false;

SELECT
    id, user_id, device_id, editor, version, workspace_path, state, last_heartbeat, created_at,
    closed_at
FROM roost.extension_connections
WHERE false;

SELECT
    (device.value).id, (device.value).device_name, (device.value).device_type,
    (device.value).platform, (device.value).capabilities, (device.value).status,
    (device.value).current, (device.value).last_seen, (device.value).created_at,
    (device.value).updated_at
FROM (SELECT NULL::roost.device AS value) AS device
WHERE false;

SELECT
    (description.value).device_id, (description.value).device_name,
    (description.value).device_type, (description.value).platform,
    (description.value).capabilities
FROM (SELECT NULL::roost.device_description AS value) AS description
WHERE false;

SELECT
    (connection.value).id, (connection.value).device_id, (connection.value).editor,
    (connection.value).version, (connection.value).workspace_path, (connection.value).state,
    (connection.value).last_heartbeat, (connection.value).created_at, (connection.value).closed_at
FROM (SELECT NULL::roost.extension_connection AS value) AS connection
WHERE false;

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint devices_pkey',
            'constraint devices_user_id_fkey',
            'constraint devices_id_user_id_key',
            'constraint devices_device_name_fits',
            'constraint devices_platform_fits',
            'constraint extension_connections_pkey',
            'constraint extension_connections_device_fkey',
            'constraint extension_connections_editor_fits',
            'constraint extension_connections_version_fits',
            'constraint extension_connections_workspace_path_fits',
            'constraint extension_connections_closed_has_time',
            'index devices_user_id_idx',
            'index extension_connections_device_idx',
            'index extension_connections_user_idx',
            'row-level security of devices',
            'row-level security of extension_connections',
            'policy devices_select_own',
            'policy devices_insert_own',
            'policy devices_update_own',
            'policy devices_delete_own',
            'policy extension_connections_select_own',
            'policy extension_connections_insert_own',
            'policy extension_connections_update_own',
            'SELECT on devices',
            'INSERT on devices',
            'UPDATE on devices',
            'DELETE on devices',
            'SELECT on extension_connections',
            'INSERT on extension_connections',
            'UPDATE on extension_connections'
        ]
    ) AS wanted (name)
    WHERE wanted.name NOT IN (
        SELECT concat('constraint ', constrained.conname)
        FROM pg_catalog.pg_constraint AS constrained
        WHERE constrained.connamespace = 'roost'::regnamespace

        UNION ALL
        SELECT concat('policy ', policy.polname)
        FROM pg_catalog.pg_policy AS policy
        JOIN pg_catalog.pg_class AS relation ON relation.oid = policy.polrelid
        WHERE relation.relnamespace = 'roost'::regnamespace

        UNION ALL
        SELECT concat(
            CASE relation.relkind WHEN 'i' THEN 'index ' ELSE 'row-level security of ' END,
            relation.relname
        )
        FROM pg_catalog.pg_class AS relation
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND (relation.relkind = 'i' OR relation.relrowsecurity)

        UNION ALL
        SELECT concat(acl.privilege_type, ' on ', relation.relname)
        FROM pg_catalog.pg_class AS relation
        CROSS JOIN aclexplode(relation.relacl) AS acl
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND acl.grantee = 'roost_api'::regrole

        UNION ALL
        SELECT concat(acl.privilege_type, ' on ', relation.relname, '.', attribute.attname)
        FROM pg_catalog.pg_class AS relation
        JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = relation.oid
        CROSS JOIN aclexplode(attribute.attacl) AS acl
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND acl.grantee = 'roost_api'::regrole
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

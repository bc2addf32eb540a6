SET LOCAL ROLE roost_owner;

SELECT
    device_id, user_id, last_operation_id, updated_at, offline_due_at, offline_done
FROM roost.sync_devices
WHERE false;

SELECT
    device_id, user_id, operation_id, kind, target_id, base_version, policy, args, body_hash,
    outcome, code, message, details, hint, conflict_id, result, queued_at, applied_at, took_ms
FROM roost.sync_operations
WHERE false;

SELECT
    id, user_id, device_id, operation_id, offline_operation_id, kind, policy, target_kind,
    target_id, args, base, mine, theirs, hunks, state, strategy, resolution, resolved_by,
    created_at, resolved_at
FROM roost.sync_conflicts
WHERE false;

SELECT
    (NULL::roost.pushed_operation).id,
    (NULL::roost.pushed_operation).outcome,
    (NULL::roost.pushed_operation).first_outcome,
    (NULL::roost.pushed_operation).code,
    (NULL::roost.pushed_operation).message,
    (NULL::roost.pushed_operation).details,
    (NULL::roost.pushed_operation).hint,
    (NULL::roost.pushed_operation).conflict_id,
    (NULL::roost.pushed_operation).result;

SELECT
    (NULL::roost.sync_operation).id,
    (NULL::roost.sync_operation).device_id,
    (NULL::roost.sync_operation).kind,
    (NULL::roost.sync_operation).target_id,
    (NULL::roost.sync_operation).base_version,
    (NULL::roost.sync_operation).policy,
    (NULL::roost.sync_operation).args,
    (NULL::roost.sync_operation).outcome,
    (NULL::roost.sync_operation).code,
    (NULL::roost.sync_operation).message,
    (NULL::roost.sync_operation).details,
    (NULL::roost.sync_operation).hint,
    (NULL::roost.sync_operation).conflict_id,
    (NULL::roost.sync_operation).result,
    (NULL::roost.sync_operation).queued_at,
    (NULL::roost.sync_operation).applied_at,
    (NULL::roost.sync_operation).took_ms;

SELECT
    (NULL::roost.sync_conflict).id,
    (NULL::roost.sync_conflict).device_id,
    (NULL::roost.sync_conflict).operation_id,
    (NULL::roost.sync_conflict).offline_operation_id,
    (NULL::roost.sync_conflict).kind,
    (NULL::roost.sync_conflict).policy,
    (NULL::roost.sync_conflict).target_kind,
    (NULL::roost.sync_conflict).target_id,
    (NULL::roost.sync_conflict).base,
    (NULL::roost.sync_conflict).mine,
    (NULL::roost.sync_conflict).theirs,
    (NULL::roost.sync_conflict).hunks,
    (NULL::roost.sync_conflict).state,
    (NULL::roost.sync_conflict).strategy,
    (NULL::roost.sync_conflict).resolution,
    (NULL::roost.sync_conflict).resolved_by,
    (NULL::roost.sync_conflict).created_at,
    (NULL::roost.sync_conflict).resolved_at;

SELECT
    (NULL::roost.device_operation).id,
    (NULL::roost.device_operation).offline_id,
    (NULL::roost.device_operation).kind,
    (NULL::roost.device_operation).target_id,
    (NULL::roost.device_operation).args,
    (NULL::roost.device_operation).base_version,
    (NULL::roost.device_operation).base,
    (NULL::roost.device_operation).policy,
    (NULL::roost.device_operation).depends_on,
    (NULL::roost.device_operation).queued_at;

SELECT
    (NULL::roost.operation_effect).result,
    (NULL::roost.operation_effect).conflict_id,
    (NULL::roost.operation_effect).is_open,
    (NULL::roost.operation_effect).is_as_sent;

SELECT
    (NULL::roost.json_merge).merged,
    (NULL::roost.json_merge).hunks;

SELECT
    (NULL::roost.text_merge).merged,
    (NULL::roost.text_merge).hunks;

SELECT
    ARRAY['applied', 'duplicate', 'conflict', 'rejected', 'deferred']::roost.operation_outcome[]
WHERE false;

SELECT
    ARRAY[
        'last_write_wins', 'server_wins', 'client_wins', 'merge', 'manual'
    ]::roost.conflict_policy[]
WHERE false;

SELECT
    ARRAY['open', 'resolved']::roost.conflict_state[]
WHERE false;

SELECT
    ARRAY['mine', 'theirs', 'merged']::roost.conflict_strategy[]
WHERE false;

SELECT 1 / (count(*) = 2)::integer FROM roost.error_codes WHERE code IN ('RO306', 'RO307');

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint sync_devices_pkey',
            'constraint sync_devices_device_fkey',
            'constraint sync_devices_last_operation_id_counts_up',
            'constraint sync_operations_pkey',
            'constraint sync_operations_device_fkey',
            'constraint sync_operations_operation_id_counts_up',
            'constraint sync_operations_kind_fits',
            'constraint sync_operations_args_fits',
            'constraint sync_operations_result_fits',
            'constraint sync_operations_errors_fit',
            'constraint sync_operations_outcome_is_the_first',
            'constraint sync_operations_failed_has_a_code',
            'constraint sync_conflicts_has_an_operation',
            'constraint sync_conflicts_kind_fits',
            'constraint sync_conflicts_target_kind_is_known',
            'constraint sync_conflicts_args_fits',
            'constraint sync_conflicts_base_fits',
            'constraint sync_conflicts_mine_fits',
            'constraint sync_conflicts_theirs_fits',
            'constraint sync_conflicts_hunks_fits',
            'constraint sync_conflicts_resolution_fits',
            'constraint sync_conflicts_resolved_says_how',
            'index sync_devices_offline_due_at_idx',
            'index sync_operations_target_idx',
            'index sync_operations_failed_idx',
            'index sync_operations_kept_args_idx',
            'index sync_operations_applied_at_idx',
            'index sync_conflicts_user_id_idx',
            'index sync_conflicts_open_idx',
            'index sync_conflicts_target_idx',
            'index sync_conflicts_resolved_at_idx',
            'row-level security of sync_devices',
            'row-level security of sync_operations',
            'row-level security of sync_conflicts',
            'policy sync_devices_select_own',
            'policy sync_devices_insert_own',
            'policy sync_devices_update_own',
            'policy sync_operations_select_own',
            'policy sync_operations_insert_own',
            'policy sync_conflicts_select_own',
            'policy sync_conflicts_insert_own',
            'policy sync_conflicts_update_own',
            'SELECT on sync_devices',
            'INSERT on sync_devices',
            'UPDATE on sync_devices.last_operation_id',
            'UPDATE on sync_devices.updated_at',
            'SELECT on sync_operations',
            'INSERT on sync_operations',
            'SELECT on sync_conflicts',
            'INSERT on sync_conflicts',
            'UPDATE on sync_conflicts.state',
            'UPDATE on sync_conflicts.strategy',
            'UPDATE on sync_conflicts.resolution',
            'UPDATE on sync_conflicts.resolved_by',
            'UPDATE on sync_conflicts.resolved_at'
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

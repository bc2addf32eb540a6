SET LOCAL ROLE roost_owner;

SELECT
    user_id, id, device_id, position, kind, target_id, args, base_version, base, policy, depends_on,
    body_hash, queued_at, status, retry_count, max_retries, next_attempt_at, code, message, details,
    hint, conflict_id, result, created_at, completed_at
FROM roost.offline_operations
WHERE false;

SELECT
    (NULL::roost.offline_operation).id,
    (NULL::roost.offline_operation).device_id,
    (NULL::roost.offline_operation).position,
    (NULL::roost.offline_operation).kind,
    (NULL::roost.offline_operation).target_id,
    (NULL::roost.offline_operation).base_version,
    (NULL::roost.offline_operation).policy,
    (NULL::roost.offline_operation).depends_on,
    (NULL::roost.offline_operation).args,
    (NULL::roost.offline_operation).status,
    (NULL::roost.offline_operation).retry_count,
    (NULL::roost.offline_operation).max_retries,
    (NULL::roost.offline_operation).next_attempt_at,
    (NULL::roost.offline_operation).code,
    (NULL::roost.offline_operation).message,
    (NULL::roost.offline_operation).details,
    (NULL::roost.offline_operation).hint,
    (NULL::roost.offline_operation).conflict_id,
    (NULL::roost.offline_operation).result,
    (NULL::roost.offline_operation).queued_at,
    (NULL::roost.offline_operation).created_at,
    (NULL::roost.offline_operation).completed_at;

SELECT
    (NULL::roost.earlier_edit).id,
    (NULL::roost.earlier_edit).offline_id,
    (NULL::roost.earlier_edit).base_version,
    (NULL::roost.earlier_edit).args,
    (NULL::roost.earlier_edit).code;

SELECT enum_range(NULL::roost.offline_status);

DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint offline_operations_pkey',
            'constraint offline_operations_position_key',
            'constraint offline_operations_device_fkey',
            'constraint offline_operations_kind_fits',
            'constraint offline_operations_args_fits',
            'constraint offline_operations_base_fits',
            'constraint offline_operations_result_fits',
            'constraint offline_operations_depends_on_fits',
            'constraint offline_operations_errors_fit',
            'constraint offline_operations_status_is_known',
            'constraint offline_operations_max_retries_fits',
            'constraint offline_operations_retry_count_counts_up',
            'constraint offline_operations_due_is_pending',
            'constraint offline_operations_ended_says_when',
            'constraint offline_operations_failed_has_a_code',
            'index offline_operations_status_idx',
            'index offline_operations_due_idx',
            'index offline_operations_depends_on_idx',
            'index offline_operations_kept_args_idx',
            'index offline_operations_edits_idx',
            'index offline_operations_completed_at_idx',
            'row-level security of offline_operations',
            'policy offline_operations_select_own',
            'policy offline_operations_insert_own',
            'policy offline_operations_update_own',
            'SELECT on offline_operations',
            'INSERT on offline_operations',
            'UPDATE on offline_operations.args',
            'UPDATE on offline_operations.base',
            'UPDATE on offline_operations.status',
            'UPDATE on offline_operations.retry_count',
            'UPDATE on offline_operations.next_attempt_at',
            'UPDATE on offline_operations.code',
            'UPDATE on offline_operations.message',
            'UPDATE on offline_operations.details',
            'UPDATE on offline_operations.hint',
            'UPDATE on offline_operations.conflict_id',
            'UPDATE on offline_operations.result',
            'UPDATE on offline_operations.completed_at'
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

SET LOCAL ROLE roost_owner;

SELECT ARRAY['rotated', 'repeated', 'replayed', 'unknown']::roost.refresh_outcome[] WHERE false;

SELECT
    id, user_id, device_id, refresh_token_hash, previous_refresh_token_hash, refreshed_at,
    user_agent, created_at, last_activity, expires_at, revoked_at
FROM roost.sessions
WHERE false;

SELECT subject, failures, last_attempt_at, blocked_until FROM roost.login_attempts WHERE false;

SELECT
    (session.value).id, (session.value).device_id, (session.value).user_agent,
    (session.value).current, (session.value).last_activity, (session.value).expires_at,
    (session.value).created_at, (session.value).revoked_at
FROM (SELECT NULL::roost.session AS value) AS session
WHERE false;

SELECT
    (auth_user.value).id, (auth_user.value).email, (auth_user.value).user_metadata,
    (auth_user.value).last_login, (auth_user.value).created_at, (auth_user.value).updated_at
FROM (SELECT NULL::roost.auth_user AS value) AS auth_user
WHERE false;

SELECT
    (refreshed.value).outcome,
    ((refreshed.value).session).session_id,
    ((refreshed.value).session).device_id,
    (((refreshed.value).session).account).id
FROM (SELECT NULL::roost.refreshed AS value) AS refreshed
WHERE false;

SELECT (candidate.value).user_id, (candidate.value).password_hash
FROM (SELECT NULL::roost.sign_in_candidate AS value) AS candidate
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
            'constraint sessions_pkey',
            'constraint sessions_device_fkey',
            'constraint sessions_refresh_token_hash_is_sha256',
            'constraint sessions_previous_refresh_token_hash_is_sha256',
            'constraint sessions_previous_token_has_time',
            'constraint sessions_user_agent_fits',
            'constraint login_attempts_pkey',
            'constraint login_attempts_subject_is_known',
            'constraint login_attempts_failures_count_up',
            'index sessions_user_device_idx',
            'index sessions_device_idx',
            'index login_attempts_last_attempt_at_idx',
            'row-level security of sessions',
            'row-level security of login_attempts',
            'policy sessions_select_own',
            'policy sessions_update_own',
            'SELECT on sessions.id',
            'SELECT on sessions.user_id',
            'SELECT on sessions.device_id',
            'SELECT on sessions.user_agent',
            'SELECT on sessions.created_at',
            'SELECT on sessions.last_activity',
            'SELECT on sessions.expires_at',
            'SELECT on sessions.revoked_at',
            'UPDATE on sessions.device_id',
            'UPDATE on sessions.revoked_at'
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

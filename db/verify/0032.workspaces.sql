SET LOCAL ROLE roost_owner;

SELECT
    id, user_id, name, path, path_hash, settings, change_seq, last_accessed, created_at,
    updated_at
FROM roost.workspaces
WHERE false;

SELECT
    workspace_id, user_id, role, added_by, change_seq, joined_at, left_at
FROM roost.workspace_members
WHERE false;

SELECT
    (NULL::roost.workspace).id,
    (NULL::roost.workspace).user_id,
    (NULL::roost.workspace).name,
    (NULL::roost.workspace).path,
    (NULL::roost.workspace).settings,
    (NULL::roost.workspace).role,
    (NULL::roost.workspace).change_seq,
    (NULL::roost.workspace).last_accessed,
    (NULL::roost.workspace).created_at,
    (NULL::roost.workspace).updated_at;

SELECT
    (NULL::roost.shared_workspace).id,
    (NULL::roost.shared_workspace).user_id,
    (NULL::roost.shared_workspace).name,
    (NULL::roost.shared_workspace).path,
    (NULL::roost.shared_workspace).settings,
    (NULL::roost.shared_workspace).change_seq,
    (NULL::roost.shared_workspace).created_at,
    (NULL::roost.shared_workspace).updated_at;

SELECT
    (NULL::roost.workspace_member).workspace_id,
    (NULL::roost.workspace_member).user_id,
    (NULL::roost.workspace_member).role,
    (NULL::roost.workspace_member).added_by,
    (NULL::roost.workspace_member).change_seq,
    (NULL::roost.workspace_member).joined_at,
    (NULL::roost.workspace_member).left_at;

SELECT
    ARRAY['viewer', 'editor', 'owner']::roost.workspace_role[]
WHERE false;

SELECT roost.own_workspace_role(NULL), roost.owns_workspace(NULL), roost.hash_path(NULL);

-- The kinds of things that a conflict may be about.
SELECT 1 / count(*)
FROM pg_catalog.pg_constraint AS constrained
WHERE constrained.conname = 'sync_conflicts_target_kind_is_known'
    AND pg_get_constraintdef(constrained.oid) LIKE '%workspace%';

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint workspaces_user_id_path_key',
            'constraint workspaces_name_fits',
            'constraint workspaces_path_fits',
            'constraint workspaces_path_is_normal',
            'constraint workspaces_change_seq_counts_up',
            'constraint workspace_members_pkey',
            'constraint workspace_members_owner_stays',
            'constraint workspace_members_change_seq_counts_up',
            'index workspace_members_one_owner',
            'index workspace_members_user_id_idx',
            'index workspace_members_present_idx',
            'index workspace_members_change_seq_idx',
            'row-level security of workspaces',
            'row-level security of workspace_members',
            'policy workspaces_select_member',
            'policy workspaces_insert_own',
            'policy workspaces_update_own',
            'policy workspaces_delete_own',
            'policy workspace_members_select_fellow',
            'policy workspace_members_insert_owner',
            'policy workspace_members_update_owner',
            'policy workspace_members_update_own',
            'SELECT on workspaces',
            'INSERT on workspaces',
            'DELETE on workspaces',
            'UPDATE on workspaces.name',
            'UPDATE on workspaces.path',
            'UPDATE on workspaces.settings',
            'SELECT on workspace_members',
            'INSERT on workspace_members',
            'UPDATE on workspace_members.role',
            'UPDATE on workspace_members.added_by',
            'UPDATE on workspace_members.joined_at',
            'UPDATE on workspace_members.left_at'
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

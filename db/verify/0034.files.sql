SET LOCAL ROLE roost_owner;

SELECT
    id, workspace_id, parent_id, container_id, name, name_key, kind, content_id, hash, size,
    media_type, modified_at, version, sync_status, metadata, change_seq, created_at, updated_at,
    deleted_at, created_by, updated_by
FROM roost.file_sync_state
WHERE false;

SELECT
    file_id, version, workspace_id, content_id, hash, size, media_type, modified_at, created_by,
    device_id, created_at, expires_at
FROM roost.file_versions
WHERE false;

SELECT deleted_at
FROM roost.workspaces
WHERE false;

SELECT workspace_id
FROM roost.conversations
WHERE false;

SELECT
    (NULL::roost.file).id,
    (NULL::roost.file).workspace_id,
    (NULL::roost.file).parent_id,
    (NULL::roost.file).kind,
    (NULL::roost.file).name,
    (NULL::roost.file).path,
    (NULL::roost.file).hash,
    (NULL::roost.file).size,
    (NULL::roost.file).media_type,
    (NULL::roost.file).modified_at,
    (NULL::roost.file).version,
    (NULL::roost.file).sync_status,
    (NULL::roost.file).metadata,
    (NULL::roost.file).change_seq,
    (NULL::roost.file).created_at,
    (NULL::roost.file).updated_at,
    (NULL::roost.file).deleted_at,
    (NULL::roost.file).created_by,
    (NULL::roost.file).updated_by;

SELECT
    (NULL::roost.file_outcome).outcome,
    (NULL::roost.file_outcome).file,
    (NULL::roost.file_outcome).conflict_id,
    (NULL::roost.file_outcome).copy;

SELECT
    (NULL::roost.put_outcome).path,
    (NULL::roost.put_outcome).outcome,
    (NULL::roost.put_outcome).file,
    (NULL::roost.put_outcome).conflict_id,
    (NULL::roost.put_outcome).copy,
    (NULL::roost.put_outcome).code,
    (NULL::roost.put_outcome).message,
    (NULL::roost.put_outcome).details,
    (NULL::roost.put_outcome).hint;

SELECT
    (NULL::roost.file_version).file_id,
    (NULL::roost.file_version).version,
    (NULL::roost.file_version).hash,
    (NULL::roost.file_version).size,
    (NULL::roost.file_version).media_type,
    (NULL::roost.file_version).modified_at,
    (NULL::roost.file_version).created_by,
    (NULL::roost.file_version).device_id,
    (NULL::roost.file_version).created_at;

SELECT
    (NULL::roost.file_comparison).file_id,
    (NULL::roost.file_comparison).from_version,
    (NULL::roost.file_comparison).to_version,
    (NULL::roost.file_comparison).is_same,
    (NULL::roost.file_comparison).is_text,
    (NULL::roost.file_comparison).hunks;

SELECT
    (NULL::roost.file_check).file_id,
    (NULL::roost.file_check).version,
    (NULL::roost.file_check).size,
    (NULL::roost.file_check).is_sound,
    (NULL::roost.file_check).damaged,
    (NULL::roost.file_check).next_byte;

SELECT
    (NULL::roost.workspace_diff).actions,
    (NULL::roost.workspace_diff).through,
    (NULL::roost.workspace_diff).is_complete,
    (NULL::roost.workspace_diff).last_offset;

SELECT
    (NULL::roost.walked_file).path,
    (NULL::roost.walked_file).parts,
    (NULL::roost.walked_file).file;

SELECT (NULL::roost.conversation).workspace_id;

SELECT
    ARRAY['file', 'folder']::roost.file_kind[],
    ARRAY[
        'synced', 'pending', 'syncing', 'conflict', 'error', 'deleted'
    ]::roost.file_sync_status[]
WHERE false;

SELECT roost.fold_name(NULL);

-- The errors, and the kinds of things that a conflict may be about.
SELECT 1 / (count(*) = 2)::integer
FROM roost.error_codes AS known
WHERE known.code IN ('RO310', 'RO311');

SELECT 1 / count(*)
FROM pg_catalog.pg_constraint AS constrained
WHERE constrained.conname = 'sync_conflicts_target_kind_is_known'
    AND pg_get_constraintdef(constrained.oid) LIKE '%file%';

SELECT 1 / count(*)
FROM pg_catalog.pg_constraint AS constrained
WHERE constrained.conname = 'sync_conflicts_has_an_operation'
    AND pg_get_constraintdef(constrained.oid) LIKE '%file%';

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint file_sync_state_name_fits',
            'constraint file_sync_state_name_is_one',
            'constraint file_sync_state_is_not_in_itself',
            'constraint file_sync_state_file_has_content',
            'constraint file_sync_state_hash_is_sha256',
            'constraint file_sync_state_size_is_one',
            'constraint file_sync_state_media_type_fits',
            'constraint file_sync_state_version_counts_up',
            'constraint file_sync_state_change_seq_counts_up',
            'constraint file_sync_state_deleted_says_so',
            'constraint file_versions_pkey',
            'constraint file_versions_version_counts_up',
            'constraint file_versions_hash_is_sha256',
            'constraint file_versions_size_is_one',
            'constraint file_versions_media_type_fits',
            'index workspaces_deleted_at_idx',
            'index file_sync_state_name_key',
            'index file_sync_state_name_idx',
            'index file_sync_state_deleted_name_idx',
            'index file_sync_state_change_seq_idx',
            'index file_sync_state_parent_id_idx',
            'index file_sync_state_content_id_idx',
            'index file_sync_state_deleted_at_idx',
            'index file_sync_state_deleted_folders_idx',
            'index file_sync_state_folders_idx',
            'index file_versions_workspace_id_idx',
            'index file_versions_content_id_idx',
            'index file_versions_expires_at_idx',
            'row-level security of file_sync_state',
            'row-level security of file_versions',
            'policy file_sync_state_select_member',
            'policy file_sync_state_insert_editor',
            'policy file_sync_state_update_editor',
            'policy file_versions_select_member',
            'policy file_versions_insert_editor',
            'policy file_versions_update_editor',
            'SELECT on file_sync_state',
            'INSERT on file_sync_state.id',
            'INSERT on file_sync_state.workspace_id',
            'INSERT on file_sync_state.parent_id',
            'INSERT on file_sync_state.name',
            'INSERT on file_sync_state.kind',
            'INSERT on file_sync_state.content_id',
            'INSERT on file_sync_state.hash',
            'INSERT on file_sync_state.size',
            'INSERT on file_sync_state.media_type',
            'INSERT on file_sync_state.modified_at',
            'INSERT on file_sync_state.metadata',
            'INSERT on file_sync_state.created_by',
            'INSERT on file_sync_state.updated_by',
            'UPDATE on file_sync_state.parent_id',
            'UPDATE on file_sync_state.name',
            'UPDATE on file_sync_state.content_id',
            'UPDATE on file_sync_state.hash',
            'UPDATE on file_sync_state.size',
            'UPDATE on file_sync_state.media_type',
            'UPDATE on file_sync_state.modified_at',
            'UPDATE on file_sync_state.version',
            'UPDATE on file_sync_state.sync_status',
            'UPDATE on file_sync_state.metadata',
            'UPDATE on file_sync_state.updated_at',
            'UPDATE on file_sync_state.deleted_at',
            'UPDATE on file_sync_state.updated_by',
            'SELECT on file_versions',
            'INSERT on file_versions',
            'UPDATE on file_versions.expires_at',
            'INSERT on conversations.workspace_id',
            'UPDATE on conversations.workspace_id'
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

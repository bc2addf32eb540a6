SET LOCAL ROLE roost_owner;

SELECT plan_type, storage_bytes, file_bytes FROM roost.plan_limits
WHERE false;

SELECT user_id, bytes FROM roost.storage_usage
WHERE false;

SELECT hash, content, created_at FROM roost.file_chunks
WHERE false;

SELECT id, workspace_id, hash, size, owner_id, damaged, created_at FROM roost.file_contents
WHERE false;

SELECT content_id, from_byte, size, workspace_id, chunk_hash FROM roost.content_chunks
WHERE false;

SELECT workspace_id, chunk_hash, expires_at FROM roost.chunk_leases
WHERE false;

SELECT content_id, expires_at FROM roost.content_leases
WHERE false;

SELECT
    id, kind, user_id, device_id, workspace_id, owner_id, path, base_version, file_id,
    media_type, modified_at, conflict_policy, header, concat, length, received, reserved, tail,
    outcome, expires_at, created_at
FROM roost.uploads
WHERE false;

SELECT upload_id, from_byte, size, chunk_hash FROM roost.upload_chunks
WHERE false;

SELECT hash, since FROM roost.unused_chunks
WHERE false;

SELECT
    (NULL::roost.upload_under_way).id,
    (NULL::roost.upload_under_way).path,
    (NULL::roost.upload_under_way).received,
    (NULL::roost.upload_under_way).length,
    (NULL::roost.upload_under_way).user_id,
    (NULL::roost.upload_under_way).device_id,
    (NULL::roost.upload_under_way).created_at,
    (NULL::roost.upload_under_way).expires_at;

SELECT ARRAY['whole', 'partial', 'final']::roost.upload_kind[]
WHERE false;

SELECT 1 / count(*) FROM roost.server_secrets WHERE name = 'file_link';

SELECT 1 / (count(*) / 6)
FROM roost.error_codes
WHERE code IN ('RO701', 'RO702', 'RO703', 'RO704', 'RO705', 'RO706');

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint plan_limits_storage_bytes_is_positive',
            'constraint plan_limits_file_bytes_is_positive',
            'constraint storage_usage_bytes_counts_up',
            'constraint file_chunks_hash_is_sha256',
            'constraint file_chunks_content_fits',
            'constraint file_contents_workspace_id_hash_key',
            'constraint file_contents_hash_is_sha256',
            'constraint file_contents_size_is_no_debt',
            'constraint content_chunks_pkey',
            'constraint content_chunks_from_byte_is_no_debt',
            'constraint content_chunks_size_fits',
            'constraint chunk_leases_pkey',
            'constraint uploads_has_a_place',
            'constraint uploads_path_fits',
            'constraint uploads_media_type_fits',
            'constraint uploads_conflict_policy_fits',
            'constraint uploads_header_fits',
            'constraint uploads_concat_fits',
            'constraint uploads_length_is_no_debt',
            'constraint uploads_received_fits',
            'constraint uploads_reserved_is_no_debt',
            'constraint uploads_tail_fits',
            'constraint uploads_outcome_fits',
            'constraint upload_chunks_pkey',
            'constraint upload_chunks_from_byte_is_no_debt',
            'constraint upload_chunks_size_fits',
            'constraint unused_chunks_hash_is_sha256',
            'index content_chunks_chunk_hash_idx',
            'index chunk_leases_chunk_hash_idx',
            'index chunk_leases_expires_at_idx',
            'index content_leases_expires_at_idx',
            'index uploads_user_id_idx',
            'index uploads_workspace_id_idx',
            'index uploads_under_way_idx',
            'index uploads_path_idx',
            'index uploads_expires_at_idx',
            'index upload_chunks_chunk_hash_idx',
            'row-level security of plan_limits',
            'row-level security of storage_usage',
            'row-level security of file_chunks',
            'row-level security of file_contents',
            'row-level security of content_chunks',
            'row-level security of chunk_leases',
            'row-level security of content_leases',
            'row-level security of uploads',
            'row-level security of upload_chunks',
            'row-level security of unused_chunks',
            'policy storage_usage_select_own',
            'policy file_contents_select_member',
            'policy content_chunks_select_member',
            'policy chunk_leases_select_member',
            'policy content_leases_select_member',
            'policy uploads_select_own',
            'policy upload_chunks_select_own',
            'SELECT on storage_usage',
            'SELECT on file_contents',
            'SELECT on content_chunks',
            'SELECT on chunk_leases',
            'SELECT on content_leases',
            'SELECT on uploads',
            'SELECT on upload_chunks'
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
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

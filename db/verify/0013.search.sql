SET LOCAL ROLE roost_owner;

SELECT conversation_id, seq, place, created_at, vector FROM roost.message_search_index WHERE false;

SELECT is_only, messages, oldest, newest FROM roost.search_history WHERE false;

SELECT conversation_id, before_seq FROM roost.search_queue WHERE false;

SELECT message_id, model, dimensions, embedding, created_at
FROM roost.message_embeddings
WHERE false;

SELECT last_value FROM roost.message_search_places WHERE false;

SELECT 1 / count(*) FROM pg_catalog.pg_extension WHERE extname = 'pg_trgm';

-- Constraints, indexes, policies, row-level security and rights of roost_api.
DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
    INTO v_missing
    FROM pg_catalog.unnest(
        ARRAY[
            'constraint message_search_index_pkey',
            'constraint search_history_is_only',
            'constraint search_queue_pkey',
            'constraint message_embeddings_pkey',
            'constraint message_embeddings_message_id_fkey',
            'constraint message_embeddings_model_is_a_name',
            'constraint message_embeddings_embedding_is_a_vector',
            'constraint message_embeddings_embedding_has_a_direction',
            'index message_search_index_place_idx',
            'index message_search_index_vector_idx',
            'row-level security of message_search_index',
            'row-level security of search_history',
            'row-level security of search_queue',
            'row-level security of message_embeddings',
            'policy message_embeddings_select_participant',
            'policy message_embeddings_insert_member',
            'policy message_embeddings_update_member',
            'SELECT on message_embeddings',
            'INSERT on message_embeddings',
            'UPDATE on message_embeddings.embedding',
            'UPDATE on message_embeddings.created_at'
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
        -- On all columns or on some: later versions leave those out that no caller writes.
        SELECT concat('INSERT on ', relation.relname)
        FROM pg_catalog.pg_class AS relation
        WHERE relation.relnamespace = 'roost'::regnamespace
            AND relation.relkind = 'r'
            AND has_any_column_privilege('roost_api', relation.oid, 'INSERT')

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

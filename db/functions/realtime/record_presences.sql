-- A batch of one server, which makes no second one before the first is answered. What is there
-- already stays: after a lost answer the server sends a batch again. Answers which topics have
-- changed; the other servers are told so after commit, and read them then.
CREATE OR REPLACE FUNCTION realtime.record_presences(
    p_server_id uuid,
    p_references text[],
    p_topics text[],
    p_keys text[],
    p_metas text[],
    p_gone text[],
    p_kept text[] DEFAULT NULL
)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_topics text[];
BEGIN
    -- Of no worth after a crash, so nobody waits for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);

    -- roost.forget_servers waits for this, or has removed the server: then there is none to write
    -- for.
    PERFORM
    FROM roost.servers AS server
    WHERE server.id = p_server_id
    FOR KEY SHARE;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    WITH gone AS (
        DELETE FROM realtime.presences AS presence
        WHERE presence.server_id = p_server_id AND presence.reference = ANY(p_gone)
        RETURNING presence.topic
    ),
    -- Apart, so that the former goes by index.
    left_over AS (
        DELETE FROM realtime.presences AS presence
        WHERE p_kept IS NOT NULL
            AND presence.server_id = p_server_id
            AND presence.reference <> ALL(p_kept)
        RETURNING presence.topic
    ),
    come AS (
        INSERT INTO realtime.presences AS presence (server_id, reference, topic, key, meta)
        SELECT p_server_id, tracked.reference, tracked.topic, tracked.key, tracked.meta::json
        FROM unnest(p_references, p_topics, p_keys, p_metas)
            AS tracked (reference, topic, key, meta)
        ON CONFLICT ON CONSTRAINT presences_pkey DO NOTHING
        RETURNING presence.topic
    )
    SELECT array_agg(DISTINCT changed.topic)
    INTO v_topics
    FROM (
        SELECT gone.topic FROM gone
        UNION ALL
        SELECT left_over.topic FROM left_over
        UNION ALL
        SELECT come.topic FROM come
    ) AS changed;

    RETURN coalesce(v_topics, '{}');
END;
$$;

REVOKE ALL ON FUNCTION realtime.record_presences(
    uuid, text[], text[], text[], text[], text[], text[]
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.record_presences(
    uuid, text[], text[], text[], text[], text[], text[]
) TO roost_gateway;

COMMENT ON FUNCTION realtime.record_presences(
    uuid, text[], text[], text[], text[], text[], text[]
) IS
'Takes down what the clients of a server track (reference, topic, key and meta, JSON text, for each)
and the references that are gone, or, where p_kept is given, all but those too, and answers the
topics that have changed; NULL when the server is unknown, which then has to beat and to record
everything.';

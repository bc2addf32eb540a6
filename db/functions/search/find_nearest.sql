-- Runs as the owner, as find_matches does: below a policy no index of vectors could be used. The
-- model and the dimensions are part of the statement, so that a partial index for them serves it.
CREATE OR REPLACE FUNCTION roost.find_nearest(
    p_embedding real[],
    p_model text,
    p_conversation_id uuid,
    p_user_id uuid,
    p_message_type text,
    p_sent_after timestamptz,
    p_sent_before timestamptz,
    p_has_attachment boolean,
    p_root_message_id uuid,
    OUT o_conversation_ids uuid[],
    OUT o_seqs bigint[],
    OUT o_times timestamptz[]
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 100;
BEGIN
    EXECUTE format(
        $query$
            SELECT
                array_agg(nearest.conversation_id ORDER BY nearest.distance),
                array_agg(nearest.seq ORDER BY nearest.distance),
                array_agg(nearest.created_at ORDER BY nearest.distance)
            FROM (
                SELECT
                    message.conversation_id,
                    message.seq,
                    message.created_at,
                    embedded.embedding::%1$I.vector(%2$s) OPERATOR(%1$I.<=>) $1::%1$I.vector(%2$s)
                    AS distance
                FROM roost.message_embeddings AS embedded
                JOIN roost.messages AS message ON message.id = embedded.message_id
                JOIN roost.conversation_participants AS participant
                    ON participant.conversation_id = message.conversation_id
                    AND participant.user_id = $2
                    AND participant.left_at IS NULL
                    AND NOT participant.suspended
                    AND participant.history_after_seq < message.seq
                WHERE embedded.model = %3$L
                    AND embedded.dimensions = %2$s
                    AND message.deleted_at IS NULL
                    AND ($3 IS NULL OR message.conversation_id = $3)
                    AND ($4 IS NULL OR message.user_id = $4)
                    AND ($5 IS NULL OR message.message_type = $5)
                    AND ($6 IS NULL OR message.created_at >= $6)
                    AND ($7 IS NULL OR message.created_at < $7)
                    AND ($8 IS NULL OR (message.attachments <> '[]') = $8)
                    AND ($9 IS NULL OR message.id = $9 OR message.root_message_id = $9)
                ORDER BY
                    embedded.embedding::%1$I.vector(%2$s)
                    OPERATOR(%1$I.<=>) $1::%1$I.vector(%2$s)
                LIMIT $10
            ) AS nearest
        $query$,
        roost.require_vectors(),
        cardinality(p_embedding),
        p_model
    )
    INTO o_conversation_ids, o_seqs, o_times
    USING
        p_embedding, roost.current_user_id(), p_conversation_id, p_user_id, p_message_type,
        p_sent_after, p_sent_before, p_has_attachment, p_root_message_id, c_most;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_nearest(
    real[], text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_nearest(
    real[], text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid
) TO roost_api;

COMMENT ON FUNCTION roost.find_nearest(
    real[], text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid
) IS
'The 100 messages whose embeddings are nearest to this one, nearest first, among those that the
caller may read. Errors: RO501.';

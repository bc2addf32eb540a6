-- Offsets have no gaps, so an event stays where it is. As long as it is kept, a replay shows a
-- message that was deleted for good. What an edit or a reaction wrote may be much younger than its
-- message, and there may be any number of it, each as large as a message: so in pieces, of which
-- the next call does not do again what this one did. Nothing is parsed.
CREATE OR REPLACE FUNCTION roost.redact_gone(
    p_conversation_id uuid,
    p_gone roost.message[],
    p_until timestamptz
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_piece CONSTANT integer := 100;
    v_topic text := format('conversation:%s', p_conversation_id);
    v_seqs bigint[] := ARRAY(SELECT gone.seq FROM unnest(p_gone) AS gone);
    v_offsets bigint[];
BEGIN
    v_offsets := ARRAY(
        SELECT event.event_offset
        FROM realtime.events AS event
        WHERE event.topic = v_topic
            AND (
                (event.event_offset = ANY (v_seqs) AND event.about_offset IS NULL)
                OR event.about_offset = ANY (v_seqs)
            )
            AND event.event IN (
                'message.created', 'message.updated', 'message.deleted', 'message.restored',
                'reaction'
            )
        ORDER BY event.event_offset
    );

    FOR v_from IN 1..cardinality(v_offsets) BY c_piece LOOP
        UPDATE realtime.events AS event
        SET payload = tombstone.payload
        FROM (
            SELECT
                gone.seq,
                shown.is_reaction,
                CASE
                    WHEN shown.is_reaction THEN json_build_object(
                        'message_id', gone.id,
                        'conversation_id', gone.conversation_id,
                        'seq', gone.seq,
                        'user_id', NULL,
                        'reaction', NULL,
                        'added', false,
                        'reactions', '[]'::json
                    )
                    ELSE row_to_json(gone)
                END AS payload
            FROM unnest(p_gone) AS gone
            CROSS JOIN (VALUES (false), (true)) AS shown (is_reaction)
        ) AS tombstone
        WHERE event.topic = v_topic
            AND event.event_offset = ANY (v_offsets[v_from:v_from + c_piece - 1])
            AND tombstone.seq = coalesce(event.about_offset, event.event_offset)
            AND tombstone.is_reaction = (event.event = 'reaction')
            AND event.payload::text <> tombstone.payload::text;

        IF FOUND AND clock_timestamp() > p_until THEN
            RETURN false;
        END IF;
    END LOOP;

    RETURN true;
END;
$$;

REVOKE ALL ON FUNCTION roost.redact_gone(uuid, roost.message[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION roost.redact_gone(uuid, roost.message[], timestamptz) IS
'Puts what roost.describe_gone says of messages of a conversation in place of what its stored events
say of them. Stops some time after p_until, and answers whether it came to the end.';

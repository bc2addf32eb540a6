-- To be called under roost.lock_presence: the merging sees what whoever held the lock before has
-- committed. All lines go in one piece, since each realtime.wake copies those before it.
CREATE OR REPLACE FUNCTION roost.announce_presence(p_user_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_conversations CONSTANT integer := 500;
    v_lines text[];
BEGIN
    WITH changed AS (
        UPDATE roost.announced_presence AS announced
        SET status = coalesce(merged.status, 'offline'),
            activity = merged.activity,
            announced_at = now()
        FROM unnest(p_user_ids) AS asked (user_id)
        LEFT JOIN LATERAL (
            SELECT presence.status, presence.activity, presence.last_seen
            FROM roost.user_presence AS presence
            WHERE presence.user_id = asked.user_id
            -- Person by person: joined as a whole, everybody would be merged first.
            OFFSET 0
        ) AS merged ON true
        WHERE announced.user_id = asked.user_id
            -- The same once more, so that it goes by the index.
            AND announced.user_id = ANY(p_user_ids)
            AND (announced.status, announced.activity)
            IS DISTINCT FROM (coalesce(merged.status, 'offline'), merged.activity)
        RETURNING announced.user_id, announced.status, announced.activity, merged.last_seen
    )
    SELECT array_agg(
        concat_ws(
            E'\t',
            format('~%s', told.topic),
            'presence',
            jsonb_build_object(
                'user_id', changed.user_id,
                'status', changed.status,
                'activity', changed.activity,
                'last_seen', changed.last_seen
            )
        )
    )
    INTO v_lines
    FROM changed
    CROSS JOIN LATERAL (
        SELECT format('user:%s', changed.user_id) AS topic
        UNION ALL
        SELECT format('conversation:%s', shared.id)
        FROM (
            SELECT conversation.id
            FROM roost.conversation_participants AS participant
            JOIN roost.conversations AS conversation
                ON conversation.id = participant.conversation_id
            WHERE participant.user_id = changed.user_id
                AND participant.left_at IS NULL
                AND NOT participant.suspended
                -- Nobody else would hear it.
                AND EXISTS (
                    SELECT
                    FROM roost.conversation_participants AS fellow
                    WHERE fellow.conversation_id = participant.conversation_id
                        AND fellow.user_id <> participant.user_id
                        AND fellow.left_at IS NULL
                )
            ORDER BY conversation.last_activity DESC, conversation.id DESC
            LIMIT c_most_conversations
        ) AS shared
    ) AS told;

    IF current_setting('roost.gateway', true) = 'on' THEN
        PERFORM realtime.wake(array_to_string(v_lines, E'\n')) WHERE v_lines IS NOT NULL;
    ELSE
        -- Each is a notification by itself, which has room for one.
        PERFORM realtime.wake(line) FROM unnest(v_lines) AS line;
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_presence(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.announce_presence(uuid[]) TO roost_api;

COMMENT ON FUNCTION roost.announce_presence(uuid[]) IS
'Sends the ephemeral event presence of people whose merged status or activity is not what was last
told: to user:<id>, and to conversation:<id> of the 500 most recently active conversations that they
share with somebody.';

CREATE OR REPLACE FUNCTION api.get_conversation_analytics(
    conversation_id uuid,
    from_time timestamptz DEFAULT NULL,
    to_time timestamptz DEFAULT NULL,
    time_zone text DEFAULT 'UTC'
)
RETURNS roost.conversation_analytics
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_from timestamptz;
    v_to timestamptz;
    v_analytics roost.conversation_analytics;
BEGIN
    PERFORM roost.require_permission(
        get_conversation_analytics.conversation_id, 'conversation.read'
    );
    PERFORM roost.require_time_zone(get_conversation_analytics.time_zone);

    SELECT span.from_time, span.to_time
    INTO STRICT v_from, v_to
    FROM roost.require_time_range(
        get_conversation_analytics.from_time, get_conversation_analytics.to_time
    ) AS span;

    WITH sent AS MATERIALIZED (
        SELECT
            message.user_id,
            message.created_at AT TIME ZONE get_conversation_analytics.time_zone AS local_time,
            -- How long after the message before it, where that is somebody else's. Times are those
            -- of the beginning of transactions, so the later one may have the earlier time.
            CASE
                WHEN lag(message.user_id) OVER in_order <> message.user_id
                    THEN greatest(
                        0,
                        extract(
                            EPOCH FROM message.created_at
                            - lag(message.created_at) OVER in_order
                        )
                    )
            END AS response_seconds
        FROM roost.messages AS message
        WHERE message.conversation_id = get_conversation_analytics.conversation_id
            AND message.created_at >= v_from
            AND message.created_at < v_to
        WINDOW in_order AS (ORDER BY message.seq)
    )
    SELECT
        get_conversation_analytics.conversation_id,
        v_from,
        v_to,
        get_conversation_analytics.time_zone,
        count(*),
        count(DISTINCT sent.user_id),
        ARRAY(
            SELECT ROW(author.user_id, count(*))::roost.participant_activity
            FROM sent AS author
            GROUP BY author.user_id
            ORDER BY count(*) DESC, author.user_id
            LIMIT 100
        ),
        ROW(
            count(sent.response_seconds),
            round(
                (percentile_cont(0.5) WITHIN GROUP (ORDER BY sent.response_seconds))::numeric, 3
            ),
            round(avg(sent.response_seconds), 3),
            round(
                (percentile_cont(0.95) WITHIN GROUP (ORDER BY sent.response_seconds))::numeric, 3
            )
        )::roost.response_times,
        roost.count_by_hour(array_agg(sent.local_time)),
        roost.count_by_day(
            array_agg(sent.local_time), v_from, v_to, get_conversation_analytics.time_zone
        )
    INTO STRICT v_analytics
    FROM sent;

    RETURN v_analytics;
END;
$$;

ALTER FUNCTION api.get_conversation_analytics(uuid, timestamptz, timestamptz, text)
OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_conversation_analytics(uuid, timestamptz, timestamptz, text)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_conversation_analytics(uuid, timestamptz, timestamptz, text)
TO roost_user;

COMMENT ON FUNCTION api.get_conversation_analytics(uuid, timestamptz, timestamptz, text) IS
'Counts what was sent in a conversation, of what the caller sees: messages, deleted ones included,
who sent how many, how soon people answer, and when.

Callers: participants of the conversation.
Arguments: conversation_id. from_time and to_time, a range of at most 366 days, by default the
last 30 days; to_time is not part of it. time_zone, a name such as Europe/Berlin.
Returns: an object. participants, up to 100 who sent something, most first; participant_count counts
all of them. response_times, in seconds from a message to the next one where that is somebody
else''s, both in the range; null where there is none. hours, 0 to 23 on the clocks of time_zone, and
days, each of the range: where the clocks go forward a day lacks an hour, where they go back it has
one twice, which counts as one.
Errors: RO101, RO201 (not your conversation), RO302 (range or time zone).
Example: POST /rpc/get_conversation_analytics {"conversation_id": "<id>", "time_zone": "UTC"}';

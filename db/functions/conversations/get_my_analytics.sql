CREATE OR REPLACE FUNCTION api.get_my_analytics(
    from_time timestamptz DEFAULT NULL,
    to_time timestamptz DEFAULT NULL,
    time_zone text DEFAULT 'UTC'
)
RETURNS roost.my_analytics
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_from timestamptz;
    v_to timestamptz;
    v_analytics roost.my_analytics;
BEGIN
    PERFORM roost.require_time_zone(get_my_analytics.time_zone);

    SELECT span.from_time, span.to_time
    INTO STRICT v_from, v_to
    FROM roost.require_time_range(get_my_analytics.from_time, get_my_analytics.to_time) AS span;

    WITH sent AS MATERIALIZED (
        SELECT
            message.conversation_id,
            message.created_at AT TIME ZONE get_my_analytics.time_zone AS local_time,
            CASE
                WHEN earlier.user_id <> message.user_id AND earlier.created_at >= v_from
                    THEN greatest(0, extract(EPOCH FROM message.created_at - earlier.created_at))
            END AS response_seconds
        FROM roost.messages AS message
        LEFT JOIN LATERAL (
            SELECT before.user_id, before.created_at
            FROM roost.messages AS before
            WHERE before.conversation_id = message.conversation_id AND before.seq < message.seq
            ORDER BY before.seq DESC
            LIMIT 1
        ) AS earlier ON true
        WHERE message.user_id = v_user_id
            AND message.created_at >= v_from
            AND message.created_at < v_to
    )
    SELECT
        v_from,
        v_to,
        get_my_analytics.time_zone,
        count(*),
        count(DISTINCT sent.conversation_id),
        ARRAY(
            SELECT ROW(place.conversation_id, count(*))::roost.conversation_activity
            FROM sent AS place
            GROUP BY place.conversation_id
            ORDER BY count(*) DESC, place.conversation_id
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
        roost.count_by_day(array_agg(sent.local_time), v_from, v_to, get_my_analytics.time_zone)
    INTO STRICT v_analytics
    FROM sent;

    RETURN v_analytics;
END;
$$;

ALTER FUNCTION api.get_my_analytics(timestamptz, timestamptz, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_my_analytics(timestamptz, timestamptz, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_my_analytics(timestamptz, timestamptz, text) TO roost_user;

COMMENT ON FUNCTION api.get_my_analytics(timestamptz, timestamptz, text) IS
'Counts what the caller sent, in the conversations that they read now: messages, deleted ones
included, where, how soon they answer, and when.

Callers: signed-in people.
Arguments: from_time and to_time, a range of at most 366 days, by default the
last 30 days; to_time is not part of it. time_zone, a name such as Europe/Berlin.
Returns: an object. conversations, up to 100, most messages first; conversation_count counts all of
them. response_times, in seconds from somebody else''s message to the caller''s where that is the
next one, both in the range; null where there is none. hours and days are as in
get_conversation_analytics.
Errors: RO101, RO302 (range or time zone).
Example: POST /rpc/get_my_analytics {"from_time": "2026-01-01", "to_time": "2026-02-01"}';

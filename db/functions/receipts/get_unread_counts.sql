CREATE OR REPLACE FUNCTION api.get_unread_counts()
RETURNS roost.unread_counts
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_counts roost.unread_counts;
BEGIN
    SELECT
        coalesce(sum(unread.count)::bigint, 0),
        coalesce(
            array_agg(
                ROW(unread.conversation_id, unread.count)::roost.unread_count
                ORDER BY unread.last_activity DESC, unread.conversation_id DESC
            ),
            '{}'
        )
    INTO v_counts
    FROM (
        SELECT
            conversation.id AS conversation_id,
            conversation.last_activity,
            conversation.last_number
            - greatest(participant.read_number, conversation.expired_number) AS count
        FROM roost.conversation_participants AS participant
        JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
        WHERE participant.user_id = v_user_id
            AND participant.left_at IS NULL
            AND NOT participant.suspended
            AND conversation.archived_at IS NULL
            AND conversation.last_number > participant.read_number
            AND conversation.last_number > conversation.expired_number
    ) AS unread;

    RETURN v_counts;
END;
$$;

ALTER FUNCTION api.get_unread_counts() OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_unread_counts() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_unread_counts() TO roost_user;

COMMENT ON FUNCTION api.get_unread_counts() IS
'How many messages the caller has not read, in total and by conversation, those in the archive left
out.

Callers: signed-in people.
Arguments: none.
Returns: an object: total, and conversations, a list of conversation_id and unread_count of those
that have any, last active first.
Errors: RO101.
Example: POST /rpc/get_unread_counts {}';

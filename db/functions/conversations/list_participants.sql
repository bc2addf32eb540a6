CREATE OR REPLACE FUNCTION api.list_participants(
    conversation_id uuid,
    page_size integer DEFAULT 50,
    after_user_id uuid DEFAULT NULL
)
RETURNS SETOF roost.participant
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_after uuid := coalesce(
        list_participants.after_user_id, '00000000-0000-0000-0000-000000000000'
    );
BEGIN
    PERFORM roost.require_permission(list_participants.conversation_id, 'conversation.read');
    PERFORM roost.require_page_size(list_participants.page_size);

    RETURN QUERY
    SELECT (roost.describe_participant(participant)).*
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = list_participants.conversation_id
        AND participant.user_id > v_after
        AND participant.left_at IS NULL
    ORDER BY participant.user_id
    LIMIT list_participants.page_size;
END;
$$;

ALTER FUNCTION api.list_participants(uuid, integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_participants(uuid, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_participants(uuid, integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_participants(uuid, integer, uuid) IS
'Lists who takes part in a conversation, by user id, with how far they have received and read it.

Callers: participants of the conversation.
Arguments: conversation_id. page_size, 1 to 200 rows. after_user_id, user_id of the last row of the
page before.
Returns: a list of participants.
Errors: RO101, RO201 (not your conversation), RO302 (page size).
Example: POST /rpc/list_participants {"conversation_id": "<id>"}';

CREATE OR REPLACE FUNCTION api.list_presence(
    conversation_id uuid,
    page_size integer DEFAULT 50,
    after_user_id uuid DEFAULT NULL
)
RETURNS SETOF roost.presence
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_after_user_id uuid := coalesce(
        list_presence.after_user_id, '00000000-0000-0000-0000-000000000000'
    );
    v_user_ids uuid[];
BEGIN
    PERFORM roost.require_permission(list_presence.conversation_id, 'conversation.read');
    PERFORM roost.require_page_size(list_presence.page_size);

    v_user_ids := ARRAY(
        SELECT participant.user_id
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = list_presence.conversation_id
            AND participant.user_id > v_after_user_id
            AND participant.left_at IS NULL
        ORDER BY participant.user_id
        LIMIT list_presence.page_size
    );

    RETURN QUERY
    SELECT presence.*
    FROM roost.read_presence(v_user_ids) AS presence;
END;
$$;

ALTER FUNCTION api.list_presence(uuid, integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_presence(uuid, integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_presence(uuid, integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_presence(uuid, integer, uuid) IS
'Lists the participants of a conversation and whether they are there.

Callers: participants of the conversation.
Arguments: conversation_id. page_size, 1 to 200 rows. after_user_id, user_id of the last row of the
page before.
Returns: a list of people as get_presence answers them, in order of user_id.
Errors: RO101, RO201 (not your conversation), RO302 (page size).
Example: POST /rpc/list_presence {"conversation_id": "<id>"}';

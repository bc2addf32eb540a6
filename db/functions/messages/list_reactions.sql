CREATE OR REPLACE FUNCTION api.list_reactions(
    message_id uuid,
    reaction text DEFAULT NULL,
    page_size integer DEFAULT 50,
    after_user_id uuid DEFAULT NULL,
    after_reaction text DEFAULT NULL
)
RETURNS SETOF roost.reaction
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Variables: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_after_user_id uuid := coalesce(
        list_reactions.after_user_id, '00000000-0000-0000-0000-000000000000'
    );
    v_after_reaction text := coalesce(list_reactions.after_reaction, '');
BEGIN
    PERFORM roost.require_message(list_reactions.message_id);
    PERFORM roost.require_page_size(list_reactions.page_size);

    IF (list_reactions.after_user_id IS NULL) <> (list_reactions.after_reaction IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Half of a page position was sent.',
            HINT = 'Send both after_user_id and after_reaction, from the last row of the page'
                ' before.';
    END IF;

    RETURN QUERY
    SELECT given.message_id, given.user_id, given.reaction, given.created_at
    FROM roost.message_reactions AS given
    WHERE given.message_id = list_reactions.message_id
        AND (given.user_id, given.reaction) > (v_after_user_id, v_after_reaction)
        AND (list_reactions.reaction IS NULL OR given.reaction = list_reactions.reaction)
    ORDER BY given.user_id, given.reaction
    LIMIT list_reactions.page_size;
END;
$$;

ALTER FUNCTION api.list_reactions(uuid, text, integer, uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_reactions(uuid, text, integer, uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_reactions(uuid, text, integer, uuid, text) TO roost_user;

COMMENT ON FUNCTION api.list_reactions(uuid, text, integer, uuid, text) IS
'Lists who reacted to a message and how, all of them; a deleted message has none.

Callers: participants of the conversation.
Arguments: message_id. reaction, only these. page_size, 1 to 200 rows. after_user_id and
after_reaction, user_id and reaction of the last row of the page before.
Returns: a list of message_id, user_id, reaction, created_at, in order of user_id and reaction.
Errors: RO101, RO201 (no such message), RO302 (page size or half of a position).
Example: POST /rpc/list_reactions {"message_id": "<id>", "reaction": "👍"}';

-- The one funnel of every access check of a conversation. An outsider learns no more than from an
-- id that does not exist.
CREATE OR REPLACE FUNCTION roost.require_role(
    p_conversation_id uuid,
    p_role roost.participant_role
)
RETURNS roost.participant_role
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_role roost.participant_role;
BEGIN
    PERFORM roost.require_user();

    v_role := roost.conversation_role(p_conversation_id);

    IF v_role IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such conversation, or you do not take part in it.',
            DETAIL = format('Conversation: %s', coalesce(p_conversation_id::text, 'null')),
            HINT = 'Send the id of a conversation from list_conversations.';
    ELSIF v_role < p_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'Your role in this conversation does not allow that.',
            DETAIL = format('Your role: %s; needed: %s', v_role, p_role),
            HINT = 'Ask an admin or the owner of the conversation.';
    END IF;

    RETURN v_role;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_role(uuid, roost.participant_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_role(uuid, roost.participant_role) TO roost_api;

COMMENT ON FUNCTION roost.require_role(uuid, roost.participant_role) IS
'The caller''s role in a conversation. Raises RO201 for an outsider, RO202 below p_role.';

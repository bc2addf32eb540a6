-- The one funnel of every access check of a conversation, for reading; who writes goes through
-- roost.lock_conversation, which asks this under the lock. An outsider learns no more than from an
-- id that does not exist.
CREATE OR REPLACE FUNCTION roost.require_permission(p_conversation_id uuid, p_permission text)
RETURNS roost.participant_role
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_role roost.participant_role;
    v_least_role roost.participant_role;
    v_in_archive boolean;
BEGIN
    PERFORM roost.require_user();

    v_role := roost.conversation_role(p_conversation_id);

    IF v_role IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such conversation, or you do not take part in it.',
            DETAIL = format('Conversation: %s', coalesce(p_conversation_id::text, 'null')),
            HINT = 'Send the id of a conversation from list_conversations.';
    END IF;

    SELECT allowed.least_role, allowed.in_archive
    INTO STRICT v_least_role, v_in_archive
    FROM roost.conversation_permissions AS allowed
    WHERE allowed.permission = p_permission;

    IF v_role < v_least_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'Your role in this conversation does not allow that.',
            DETAIL = format('Your role: %s; needed: %s', v_role, v_least_role),
            HINT = 'Ask an admin or the owner of the conversation.';
    END IF;

    IF NOT v_in_archive AND EXISTS (
        SELECT FROM roost.conversations AS conversation
        WHERE conversation.id = p_conversation_id AND conversation.archived_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO203',
            MESSAGE = 'The conversation is archived.',
            DETAIL = format('Conversation: %s', p_conversation_id),
            HINT = 'Take it out of the archive with unarchive_conversation, or let an admin do so.';
    END IF;

    RETURN v_role;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_permission(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_permission(uuid, text) TO roost_api;

COMMENT ON FUNCTION roost.require_permission(uuid, text) IS
'The caller''s role in a conversation. Raises RO101 for nobody, RO201 for an outsider, RO202 when
conversation_permissions does not allow p_permission to the role, RO203 when not in an archive.';

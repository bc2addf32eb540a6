-- As roost.lock_conversation, for what an owner does also with a conversation that they deleted, of
-- which they are no participant to the policies. Runs as the owner, to lock what nobody sees.
CREATE OR REPLACE FUNCTION roost.lock_owned_conversation(p_conversation_id uuid)
RETURNS roost.conversations
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_conversation roost.conversations;
BEGIN
    IF NOT EXISTS (
        SELECT FROM roost.conversations AS conversation
        WHERE conversation.id = p_conversation_id
            AND conversation.user_id = v_user_id
            AND conversation.deleted_at IS NOT NULL
    ) THEN
        PERFORM roost.require_permission(p_conversation_id, 'conversation.delete');
    END IF;

    SELECT conversation.*
    INTO v_conversation
    FROM roost.conversations AS conversation
    WHERE conversation.id = p_conversation_id
    FOR NO KEY UPDATE;

    -- Whoever held the lock may have restored or erased it, or handed it over.
    IF (
        v_conversation.user_id = v_user_id AND v_conversation.deleted_at IS NOT NULL
    ) IS NOT TRUE THEN
        PERFORM roost.require_permission(p_conversation_id, 'conversation.delete');
    END IF;

    RETURN v_conversation;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_owned_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_owned_conversation(uuid) TO roost_api;

COMMENT ON FUNCTION roost.lock_owned_conversation(uuid) IS
'Locks a conversation of the caller''s, deleted or not, to the end of the transaction, and answers
it. Raises as roost.require_permission does for conversation.delete.';

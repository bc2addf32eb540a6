-- First for whoever may not do it, so that an outsider can't hold the row. Then the lock: one
-- change of a conversation at a time, in the order of its events; not against foreign keys, since
-- typing waits for nobody. Then again, since whoever held the lock may have changed the caller's
-- role, or archived or deleted the conversation; being VOLATILE, this looks with new eyes after the
-- wait. Runs as the owner: a viewer may not update the row, and marks as read all the same.
CREATE OR REPLACE FUNCTION roost.lock_conversation(p_conversation_id uuid, p_permission text)
RETURNS roost.participant_role
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_permission(p_conversation_id, p_permission);

    PERFORM FROM roost.conversations AS conversation
    WHERE conversation.id = p_conversation_id
    FOR NO KEY UPDATE;

    RETURN roost.require_permission(p_conversation_id, p_permission);
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_conversation(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_conversation(uuid, text) TO roost_api;

COMMENT ON FUNCTION roost.lock_conversation(uuid, text) IS
'Locks a conversation to the end of the transaction, and answers the caller''s role. Raises as
roost.require_permission does, before and after the wait.';

-- Runs as the owner, for what nobody sees any more and nothing undoes; the check is its own.
CREATE OR REPLACE FUNCTION roost.purge_owned_conversation(p_conversation_id uuid)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations := roost.lock_owned_conversation(p_conversation_id);
BEGIN
    IF v_conversation.purged_at IS NOT NULL THEN
        RETURN;
    END IF;

    PERFORM roost.notify_participants(
        p_conversation_id,
        'conversation.removed',
        json_build_object('conversation_id', p_conversation_id)
    );
    v_conversation := roost.mark_purged(p_conversation_id);
    PERFORM roost.erase_conversation(p_conversation_id, 1000);
    -- Not before, so that it is not erased as well: it ends the right of whoever is live.
    PERFORM realtime.append(
        format('conversation:%s', p_conversation_id),
        v_conversation.last_seq,
        'conversation.deleted',
        row_to_json(roost.describe_shared_conversation(v_conversation)),
        p_revokes => 'everybody'
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.purge_owned_conversation(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.purge_owned_conversation(uuid) TO roost_api;

COMMENT ON FUNCTION roost.purge_owned_conversation(uuid) IS
'Deletes a conversation of the caller''s for good, and erases it up to 1,000 messages. Raises as
roost.lock_owned_conversation does.';

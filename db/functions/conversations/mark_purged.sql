-- To be called under the row's lock, and for nobody but the owner: nothing undoes it.
CREATE OR REPLACE FUNCTION roost.mark_purged(p_conversation_id uuid)
RETURNS roost.conversations
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    -- Invitations in inboxes, of those who have left too, tell the title. By index, and within the
    -- time for which events are kept.
    UPDATE realtime.events AS event
    SET payload = (event.payload::jsonb || '{"title": ""}')::json
    WHERE event.topic = ANY (ARRAY(
        SELECT format('user:%s', participant.user_id)
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = p_conversation_id
    ))
    AND event.event IN ('conversation.added', 'conversation.restored')
    AND event.payload ->> 'conversation_id' = p_conversation_id::text;

    UPDATE roost.conversations AS conversation
    SET deleted_at = coalesce(conversation.deleted_at, now()),
        purged_at = now(),
        title = '',
        workspace_path = '',
        metadata = '{}',
        last_seq = conversation.last_seq + 1
    WHERE conversation.id = p_conversation_id
    RETURNING conversation.*;
$$;

REVOKE ALL ON FUNCTION roost.mark_purged(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.mark_purged(uuid) IS
'Deletes a conversation for good for everybody, its title in their inboxes included;
roost.erase_conversation then takes its rows away. last_seq of what it answers is taken, for the
event that says so.';

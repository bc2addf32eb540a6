-- p_own is what an author needs, p_any everybody else; without it they are refused. Who wrote a
-- message never changes, so that it is known before the lock; all else is read again under it.
CREATE OR REPLACE FUNCTION roost.lock_message(
    p_message_id uuid,
    p_own text,
    p_any text DEFAULT NULL
)
RETURNS roost.messages
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_message roost.messages := roost.require_message(p_message_id);
    v_is_own boolean := v_message.user_id IS NOT DISTINCT FROM roost.current_user_id();
BEGIN
    IF NOT v_is_own AND p_any IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'Only its author may do that with a message.',
            DETAIL = format('Message: %s', p_message_id),
            HINT = 'Reply to it, or ask its author.';
    END IF;

    PERFORM roost.lock_conversation(
        v_message.conversation_id,
        CASE WHEN v_is_own THEN p_own ELSE p_any END
    );

    RETURN roost.require_message(p_message_id);
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_message(uuid, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.lock_message(uuid, text, text) TO roost_api;

COMMENT ON FUNCTION roost.lock_message(uuid, text, text) IS
'Locks the conversation of a message, and answers the message as it is then. Raises as
roost.require_message and roost.lock_conversation do, or RO202 for somebody else''s message.';

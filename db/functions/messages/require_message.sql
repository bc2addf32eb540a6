-- The one funnel to a single message. One that the caller can't see is the same to them as one that
-- does not exist: the policy of messages decides.
CREATE OR REPLACE FUNCTION roost.require_message(p_message_id uuid)
RETURNS roost.messages
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_message roost.messages;
BEGIN
    PERFORM roost.require_user();

    SELECT message.*
    INTO v_message
    FROM roost.messages AS message
    WHERE message.id = p_message_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such message, or it is not yours to see.',
            DETAIL = format('Message: %s', coalesce(p_message_id::text, 'null')),
            HINT = 'Send the id of a message from list_messages.';
    END IF;

    RETURN v_message;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_message(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_message(uuid) TO roost_api;

COMMENT ON FUNCTION roost.require_message(uuid) IS
'A message that the caller may see. Raises RO101, or RO201 where there is none.';

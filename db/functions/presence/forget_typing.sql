-- Runs as the owner: the rows are other people's. Those in use are being set again, or go with
-- somebody else.
CREATE OR REPLACE FUNCTION roost.forget_typing(p_conversation_id uuid)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM roost.typing_indicators AS indicator
    USING (
        SELECT expired.conversation_id, expired.user_id, expired.device_id
        FROM roost.typing_indicators AS expired
        WHERE expired.conversation_id = p_conversation_id AND expired.expires_at <= now()
        FOR UPDATE SKIP LOCKED
    ) AS forgotten
    WHERE indicator.conversation_id = forgotten.conversation_id
        AND indicator.user_id = forgotten.user_id
        AND indicator.device_id = forgotten.device_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_typing(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.forget_typing(uuid) TO roost_api;

COMMENT ON FUNCTION roost.forget_typing(uuid) IS
'Removes who typed in a conversation and does so no longer.';

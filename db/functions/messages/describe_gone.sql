-- The same each time for the same row, so that it shows in an event that it was redacted already.
CREATE OR REPLACE FUNCTION roost.describe_gone(p_message roost.messages)
RETURNS roost.message
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    p_message.content := '{}';
    p_message.metadata := '{}';
    p_message.mentions := '{}';
    p_message.attachments := '[]';
    p_message.reactions := '[]';
    p_message.deleted_at := coalesce(p_message.deleted_at, p_message.updated_at);
    p_message.purged_at := coalesce(p_message.purged_at, p_message.updated_at);

    RETURN roost.describe_message(p_message);
END;
$$;

REVOKE ALL ON FUNCTION roost.describe_gone(roost.messages) FROM PUBLIC;

COMMENT ON FUNCTION roost.describe_gone(roost.messages) IS
'What stored events show of a message whose row goes: that it was there, and is deleted for good.
The time is that of its last change.';

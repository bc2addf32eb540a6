CREATE OR REPLACE FUNCTION roost.describe_device_message(p_message roost.device_messages)
RETURNS roost.device_message
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_message.id,
        p_message.from_device_id,
        p_message.to_device_id,
        p_message.number,
        CASE WHEN p_message.expires_at > now() THEN 'waiting' ELSE 'expired' END
        ::roost.device_message_state,
        p_message.message_type,
        p_message.payload::jsonb,
        p_message.reply_to,
        p_message.created_at,
        p_message.expires_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_device_message(roost.device_messages) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_device_message(roost.device_messages) TO roost_api;

COMMENT ON FUNCTION roost.describe_device_message(roost.device_messages) IS
'A device message that waits, as its two devices see it.';

-- NULL-safe: a caller without identity, a malformed id and an unknown topic are all simply false.
CREATE OR REPLACE FUNCTION realtime.can_join(p_topic text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.current_user_id() IS NOT NULL AND coalesce(
        CASE split_part(p_topic, ':', 1)
            WHEN 'conversation'
                THEN roost.conversation_role(realtime.topic_id(p_topic)) IS NOT NULL
            WHEN 'workspace' THEN roost.own_workspace_role(realtime.topic_id(p_topic)) IS NOT NULL
            WHEN 'user' THEN realtime.topic_id(p_topic) = roost.current_user_id()
            -- That device alone: what the person's others send it is not for the rest of them.
            WHEN 'device'
                THEN realtime.topic_id(p_topic) = roost.current_device_id() AND EXISTS (
                SELECT FROM roost.devices AS device
                WHERE device.id = realtime.topic_id(p_topic)
                    AND device.user_id = roost.current_user_id()
                    AND device.status = 'active'
            )
            ELSE realtime.is_permitted(p_topic, 'join')
        END,
        false
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.can_join(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.can_join(text) TO roost_api;

COMMENT ON FUNCTION realtime.can_join(text) IS
'Whether the caller may receive a topic: a conversation they take part in, a workspace they are in,
their own inbox, the device that they call from, an application topic whose rule says so.';

-- NULL-safe, as realtime.can_join is.
CREATE OR REPLACE FUNCTION realtime.can_broadcast(p_topic text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(
        CASE split_part(p_topic, ':', 1)
            WHEN 'conversation'
                THEN roost.is_permitted(realtime.topic_id(p_topic), 'message.send')
            WHEN 'workspace' THEN roost.own_workspace_role(realtime.topic_id(p_topic)) >= 'editor'
            WHEN 'user' THEN realtime.can_join(p_topic)
            -- All of a person's devices may speak to one, which alone hears it.
            WHEN 'device' THEN EXISTS (
                SELECT FROM roost.devices AS device
                WHERE device.id = realtime.topic_id(p_topic)
                    AND device.user_id = roost.current_user_id()
                    AND device.status = 'active'
            )
            ELSE realtime.is_permitted(p_topic, 'broadcast')
        END,
        false
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.can_broadcast(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.can_broadcast(text) TO roost_api;

COMMENT ON FUNCTION realtime.can_broadcast(text) IS
'Whether the caller may send ephemeral events of their own to a topic: a conversation in which they
may send messages, a workspace that they may change, their own inbox, a device of theirs, an
application topic whose rule says so.';

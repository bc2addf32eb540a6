-- NULL-safe: a caller without identity, a malformed id and an unknown topic are all simply false.
CREATE OR REPLACE FUNCTION realtime.can_join(p_topic text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
    v_id uuid;
BEGIN
    IF v_user_id IS NULL
        OR p_topic !~ '^[a-z]+:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
    THEN
        RETURN false;
    END IF;

    v_id := split_part(p_topic, ':', 2)::uuid;

    RETURN coalesce(
        CASE split_part(p_topic, ':', 1)
            WHEN 'conversation' THEN roost.conversation_role(v_id) IS NOT NULL
            WHEN 'user' THEN v_id = v_user_id
            WHEN 'device' THEN EXISTS (
                SELECT FROM roost.devices AS device
                WHERE device.id = v_id
                    AND device.user_id = v_user_id
                    AND device.status = 'active'
            )
        END,
        false
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.can_join(text) FROM PUBLIC;

COMMENT ON FUNCTION realtime.can_join(text) IS
'Whether the caller may receive a topic: a conversation they take part in, their own inbox, a device
of theirs.';

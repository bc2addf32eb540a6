-- For writers that already hold the lock on the row that gives out the topic's offsets and took
-- this offset from it.
CREATE OR REPLACE FUNCTION realtime.append(
    p_topic text,
    p_offset bigint,
    p_event text,
    p_payload json,
    p_about_offset bigint DEFAULT NULL,
    p_revokes text DEFAULT NULL,
    p_grants_topic text DEFAULT NULL,
    p_grants_after bigint DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO realtime.events (
        topic, event_offset, event, payload, actor_id, device_id, about_offset, revokes,
        grants_topic, grants_after
    )
    VALUES (
        p_topic,
        p_offset,
        p_event,
        p_payload,
        roost.current_user_id(),
        roost.current_device_id(),
        p_about_offset,
        p_revokes,
        p_grants_topic,
        p_grants_after
    );

    PERFORM realtime.wake(p_topic);
END;
$$;

REVOKE ALL ON FUNCTION realtime.append(
    text, bigint, text, json, bigint, text, text, bigint
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.append(
    text, bigint, text, json, bigint, text, text, bigint
) TO roost_api;

COMMENT ON FUNCTION realtime.append(
    text, bigint, text, json, bigint, text, text, bigint
) IS
'Writes an event under an offset that the caller has just taken under the topic''s row lock.
p_about_offset is the offset of the event that made what this one is about, p_revokes a user id or
everybody: whose right to the topic ends with it. p_grants_topic is the topic that whoever receives
this in their inbox may read from now on, p_grants_after the offset to begin behind.';

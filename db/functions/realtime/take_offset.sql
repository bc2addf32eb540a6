-- The row lock is held to the end of the transaction, as for realtime.publish. Whoever takes an
-- offset and appends no event under it leaves a gap, which readers take for a loss.
CREATE OR REPLACE FUNCTION realtime.take_offset(p_topic text)
RETURNS bigint
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO realtime.topics AS topic (topic, last_offset)
    VALUES (p_topic, 1)
    ON CONFLICT ON CONSTRAINT topics_pkey
    DO UPDATE SET last_offset = topic.last_offset + 1
    RETURNING topic.last_offset;
$$;

REVOKE ALL ON FUNCTION realtime.take_offset(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.take_offset(text) TO roost_api;

COMMENT ON FUNCTION realtime.take_offset(text) IS
'Takes the next offset of a topic that is not a conversation, for an event that has to say it:
realtime.append is to be called with it in the same transaction.';

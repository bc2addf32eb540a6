-- The row lock that the UPDATE takes is held to the end of the transaction. Two writers of one
-- topic thus commit in the order of their offsets; a rollback gives its offset back.
CREATE OR REPLACE FUNCTION realtime.publish(
    p_topic text,
    p_event text,
    p_payload json,
    p_about_offset bigint DEFAULT NULL,
    p_revokes text DEFAULT NULL,
    p_grants_topic text DEFAULT NULL,
    p_grants_after bigint DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint;
BEGIN
    IF p_topic LIKE 'conversation:%' THEN
        UPDATE roost.conversations AS conversation
        SET last_seq = conversation.last_seq + 1
        WHERE conversation.id = substr(p_topic, 14)::uuid
        RETURNING conversation.last_seq INTO STRICT v_offset;
    ELSE
        INSERT INTO realtime.topics AS topic (topic, last_offset)
        VALUES (p_topic, 1)
        ON CONFLICT ON CONSTRAINT topics_pkey
        DO UPDATE SET last_offset = topic.last_offset + 1
        RETURNING topic.last_offset INTO v_offset;
    END IF;

    PERFORM realtime.append(
        p_topic, v_offset, p_event, p_payload, p_about_offset, p_revokes, p_grants_topic,
        p_grants_after
    );

    RETURN v_offset;
END;
$$;

REVOKE ALL ON FUNCTION realtime.publish(text, text, json, bigint, text, text, bigint)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.publish(text, text, json, bigint, text, text, bigint)
TO roost_api;

COMMENT ON FUNCTION realtime.publish(text, text, json, bigint, text, text, bigint) IS
'Appends an event to a topic in the caller''s transaction and answers its offset. The other
arguments are as for realtime.append.';

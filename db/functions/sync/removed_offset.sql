CREATE OR REPLACE FUNCTION roost.removed_offset(p_scope text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint;
BEGIN
    IF p_scope LIKE 'conversation:%' THEN
        SELECT conversation.removed_seq
        INTO v_offset
        FROM roost.conversations AS conversation
        WHERE conversation.id = realtime.topic_id(p_scope);
    ELSE
        SELECT topic.removed_offset
        INTO v_offset
        FROM realtime.topics AS topic
        WHERE topic.topic = p_scope;
    END IF;

    RETURN coalesce(v_offset, 0);
END;
$$;

REVOKE ALL ON FUNCTION roost.removed_offset(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.removed_offset(text) TO roost_api;

COMMENT ON FUNCTION roost.removed_offset(text) IS
'Offset of the newest event of a scope that told of something gone without a trace; 0 where there is
none.';

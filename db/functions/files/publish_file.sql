-- Runs as the owner, since nobody else may write offsets.
CREATE OR REPLACE FUNCTION roost.publish_file(
    p_file_id uuid,
    p_event text,
    p_path text,
    p_more jsonb DEFAULT NULL
)
RETURNS roost.file
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_file roost.file_sync_state;
    v_topic text;
    v_offset bigint;
    v_described roost.file;
BEGIN
    SELECT format('workspace:%s', file.workspace_id)
    INTO STRICT v_topic
    FROM roost.file_sync_state AS file
    WHERE file.id = p_file_id;

    v_offset := realtime.take_offset(v_topic);

    UPDATE roost.file_sync_state AS file
    SET change_seq = v_offset
    WHERE file.id = p_file_id
    RETURNING file.* INTO STRICT v_file;

    v_described := roost.describe_file(v_file, p_path);

    PERFORM realtime.append(
        v_topic,
        v_offset,
        p_event,
        CASE
            WHEN p_more IS NULL THEN row_to_json(v_described)
            ELSE (to_jsonb(v_described) || p_more)::json
        END
    );

    RETURN v_described;
END;
$$;

REVOKE ALL ON FUNCTION roost.publish_file(uuid, text, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_file(uuid, text, text, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.publish_file(uuid, text, text, jsonb) IS
'Tells a workspace of a change of a file, writes the offset of that into its row, and answers it.
To be called under roost.lock_workspace. p_more are further keys of what is told.';

CREATE OR REPLACE FUNCTION realtime.read_snapshot_token(p_token text)
RETURNS pg_snapshot
LANGUAGE plpgsql
STABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_open text[];
BEGIN
    IF p_token ~ '^[0-9]{1,18}([.][0-9]{1,18}){0,16}$' THEN
        v_open := (string_to_array(p_token, '.'))[2:];

        BEGIN
            RETURN format(
                '%s:%s:%s',
                coalesce(v_open[1], p_token),
                split_part(p_token, '.', 1),
                array_to_string(v_open, ',')
            )::pg_snapshot;
        EXCEPTION WHEN invalid_text_representation THEN
            -- Zero, or not in order.
            NULL;
        END;
    END IF;

    RAISE EXCEPTION USING
        ERRCODE = 'RO302',
        MESSAGE = 'This is no place to resume from.',
        DETAIL = format('resume: %s', left(p_token, 200)),
        HINT = 'Send resume as the reply to the join said it, or leave it out.';
END;
$$;

REVOKE ALL ON FUNCTION realtime.read_snapshot_token(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_snapshot_token(text) TO roost_api;

COMMENT ON FUNCTION realtime.read_snapshot_token(text) IS
'The snapshot that realtime.snapshot_token() has answered. Errors: RO302.';

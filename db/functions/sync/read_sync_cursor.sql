CREATE OR REPLACE FUNCTION roost.read_sync_cursor(p_cursor text)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Of 1,000 scopes it is about half of that.
    c_most_characters CONSTANT integer := 262144;
    v_sent jsonb;
BEGIN
    BEGIN
        IF char_length(p_cursor) <= c_most_characters THEN
            v_sent := convert_from(
                decode(
                    rpad(
                        translate(p_cursor, '-_', '+/'),
                        (char_length(p_cursor) + 3) / 4 * 4,
                        '='
                    ),
                    'base64'
                ),
                'UTF8'
            )::jsonb;
        END IF;
    EXCEPTION
        WHEN data_exception OR statement_too_complex THEN
            v_sent := NULL;
    END;

    IF (
        jsonb_typeof(v_sent) = 'object'
        AND v_sent -> 'version' = '1'
        AND jsonb_typeof(v_sent -> 'scopes') = 'object'
        AND (v_sent -> 'progress')::text ~ '^\{"done": [0-9]{1,9}, "total": [0-9]{1,9}\}$'
        AND (
            SELECT coalesce(
                bool_and(
                    realtime.topic_id(scope.key) IS NOT NULL
                    AND scope.value::text
                    ~ '^(null|\[(-1|[0-9]{1,18}), [0-9]{1,18}, [0-9]{1,18}, [0-9]{1,18}, [01]\])$'
                ),
                true
            )
            FROM jsonb_each(v_sent -> 'scopes') AS scope
        )
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This is no cursor of pull_changes.',
            DETAIL = format('Cursor: %s', coalesce(left(p_cursor, 200), 'null')),
            HINT = 'Send the cursor of the page before as it is; pull_changes begins without one at'
                ' what was acknowledged.';
    ELSIF v_sent ->> 'device' IS DISTINCT FROM roost.current_device_id()::text THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The cursor is another device''s.',
            DETAIL = format('Device: %s', left(v_sent ->> 'device', 200)),
            HINT = 'Each device pulls for itself: call pull_changes without a cursor first.';
    ELSIF v_sent ->> 'epoch' IS DISTINCT FROM realtime.get_epoch() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO403',
            MESSAGE = 'The cursor is from before the log began anew.',
            DETAIL = format('Epoch: %s', left(v_sent ->> 'epoch', 200)),
            HINT = 'Call pull_changes without a cursor: it says which scopes to read again.';
    ELSIF v_sent -> 'generation' IS DISTINCT FROM to_jsonb(roost.sync_generation()) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO403',
            MESSAGE = 'The cursor is from before the device began anew.',
            DETAIL = format('Generation: %s', left((v_sent -> 'generation')::text, 200)),
            HINT = 'Call pull_changes without a cursor: it gives everything anew.';
    END IF;

    RETURN v_sent;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_sync_cursor(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_sync_cursor(text) TO roost_api;

COMMENT ON FUNCTION roost.read_sync_cursor(text) IS
'What roost.write_sync_cursor has written, for this device. Errors: RO302, RO403.';

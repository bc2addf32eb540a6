-- So that one folder is one path, however a device puts it. Whether letters in capitals are others
-- is known to the device alone.
CREATE OR REPLACE FUNCTION roost.normalise_path(p_path text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 4096;
    v_path text;
BEGIN
    IF octet_length(p_path) <= c_most_bytes AND p_path !~ '[\u0001-\u001f\u007f-\u009f]' THEN
        v_path := normalize(p_path, NFC);
    END IF;

    IF v_path ~ '^([A-Za-z]:[\\/]|\\\\[^\\/]|~\\)' THEN
        v_path := replace(v_path, '/', '\');
        -- The two in front of a server's name stay.
        v_path := left(v_path, 1) || regexp_replace(substr(v_path, 2), '(?<!^)\\+', '\\', 'g');
        v_path := CASE
            WHEN v_path ~ '^[A-Za-z]:' THEN upper(left(v_path, 1)) || substr(v_path, 2)
            ELSE v_path
        END;
        v_path := rtrim(v_path, '\') || CASE WHEN v_path ~ '^[A-Z]:\\$' THEN '\' ELSE '' END;
    ELSIF v_path ~ '^[/~]' THEN
        v_path := regexp_replace(v_path, '/+', '/', 'g');
        v_path := CASE v_path WHEN '/' THEN v_path ELSE rtrim(v_path, '/') END;
    ELSE
        v_path := NULL;
    END IF;

    IF v_path IS NULL
        OR v_path ~ '(^|[\\/])\.\.?([\\/]|$)'
        OR octet_length(v_path) > c_most_bytes
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This is not the full path of a folder.',
            DETAIL = format('path: %s', coalesce(left(p_path, 200), 'null')),
            HINT = 'Send a path of at most 4096 bytes that begins with /, ~, C:\ or \\server,'
                ' without . and .. in it, and without control characters.';
    END IF;

    RETURN v_path;
END;
$$;

REVOKE ALL ON FUNCTION roost.normalise_path(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.normalise_path(text) TO roost_api;

COMMENT ON FUNCTION roost.normalise_path(text) IS
'The path of a folder, on a device of any system, in one way of writing: composed (NFC), without
separators that say nothing, of Windows with \ and a capital drive letter. Raises RO302 for what
is no full path.';

-- PostgreSQL also takes what looks like a POSIX rule, Nowhere+5 for one, whose sign is not what
-- people expect. Names with digits are therefore looked up in the list, which is read from files.
CREATE OR REPLACE FUNCTION roost.require_time_zone(p_time_zone text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- No name is longer, and looking one up takes the longer the longer it is.
    v_is_known boolean := coalesce(char_length(p_time_zone) <= 100, false);
BEGIN
    IF v_is_known AND p_time_zone ~ '[^A-Za-z_/-]' THEN
        v_is_known := EXISTS (
            SELECT FROM pg_timezone_names AS known WHERE lower(known.name) = lower(p_time_zone)
        );
    ELSIF v_is_known THEN
        BEGIN
            PERFORM now() AT TIME ZONE p_time_zone;
        EXCEPTION
            WHEN invalid_parameter_value THEN
                v_is_known := false;
        END;
    END IF;

    IF NOT v_is_known THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'There is no such time zone.',
            DETAIL = format('time_zone: %s', coalesce(left(p_time_zone, 100), 'null')),
            HINT = 'Send a name of the IANA time zone database, such as Europe/Berlin, or UTC.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_time_zone(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_time_zone(text) TO roost_api;

COMMENT ON FUNCTION roost.require_time_zone(text) IS
'Raises RO302 unless there is a time zone of this name.';

CREATE OR REPLACE FUNCTION roost.split_file_path(p_path text)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_checked record;
BEGIN
    SELECT checked.*
    INTO v_checked
    FROM roost.check_file_path(p_path) AS checked;

    IF v_checked.o_problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = v_checked.o_problem,
            DETAIL = format('path: %s', coalesce(left(p_path, 200), 'null')),
            HINT = v_checked.o_cure;
    END IF;

    RETURN v_checked.o_parts;
END;
$$;

REVOKE ALL ON FUNCTION roost.split_file_path(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.split_file_path(text) TO roost_api;

COMMENT ON FUNCTION roost.split_file_path(text) IS
'The names that a path within a workspace is of. Raises RO302 with the cure for one that some
device could not keep.';

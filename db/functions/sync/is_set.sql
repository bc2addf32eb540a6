CREATE OR REPLACE FUNCTION roost.is_set(p_list jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN jsonb_typeof(p_list) = 'array' THEN (
            SELECT count(*) = count(DISTINCT member.value)
                AND coalesce(
                    bool_and(jsonb_typeof(member.value) NOT IN ('object', 'array')), true
                )
            FROM jsonb_array_elements(p_list) AS member (value)
        )
        ELSE false
    END;
$$;

REVOKE ALL ON FUNCTION roost.is_set(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.is_set(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.is_set(jsonb) IS
'Whether a JSON value is a list of single values, each of them once.';

CREATE OR REPLACE FUNCTION roost.merge_keys(p_old jsonb, p_patch roost.json_object)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN p_patch IS NULL THEN p_old
        ELSE (p_old || p_patch) - ARRAY(
            SELECT entry.key FROM jsonb_each(p_patch) AS entry WHERE entry.value = 'null'
        )
    END;
$$;

REVOKE ALL ON FUNCTION roost.merge_keys(jsonb, roost.json_object) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.merge_keys(jsonb, roost.json_object) TO roost_api;

COMMENT ON FUNCTION roost.merge_keys(jsonb, roost.json_object) IS
'Lays the keys of p_patch over those of p_old; a key whose value is null is removed. Only the first
level is merged. NULL for p_patch changes nothing.';

CREATE OR REPLACE FUNCTION roost.pick_keys(p_object jsonb, p_keys jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(entry.key, entry.value), '{}')
    FROM jsonb_each(p_object) AS entry
    WHERE p_keys ? entry.key;
$$;

REVOKE ALL ON FUNCTION roost.pick_keys(jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.pick_keys(jsonb, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.pick_keys(jsonb, jsonb) IS
'Of an object the keys that another one has, too; NULL of nothing.';

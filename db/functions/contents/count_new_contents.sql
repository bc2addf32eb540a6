CREATE OR REPLACE FUNCTION roost.count_new_contents()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.move_storage(counted.owner_id, counted.size)
    FROM (
        SELECT content.owner_id, sum(content.size)::bigint AS size
        FROM made AS content
        GROUP BY content.owner_id
        ORDER BY content.owner_id
    ) AS counted;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.count_new_contents() FROM PUBLIC;

COMMENT ON FUNCTION roost.count_new_contents() IS
'Trigger: contents count in what their owner stores, from the same moment.';

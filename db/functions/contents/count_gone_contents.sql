CREATE OR REPLACE FUNCTION roost.count_gone_contents()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.move_storage(counted.owner_id, -counted.size)
    FROM (
        SELECT content.owner_id, sum(content.size)::bigint AS size
        FROM gone AS content
        GROUP BY content.owner_id
        ORDER BY content.owner_id
    ) AS counted;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.count_gone_contents() FROM PUBLIC;

COMMENT ON FUNCTION roost.count_gone_contents() IS
'Trigger: contents that are gone count no more in what their owner stores.';

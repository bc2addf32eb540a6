-- To be called at the end of a transaction, since the inbox comes after devices and conversations
-- in the order of locks.
CREATE OR REPLACE FUNCTION roost.publish_offline_operations(p_ids uuid[])
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT realtime.publish(
        format('user:%s', ended.user_id),
        format('offline_operation.%s', ended.status),
        ended.payload
    )
    FROM (
        SELECT
            operation.user_id,
            operation.status,
            row_to_json(roost.describe_offline_operation(operation, false)) AS payload
        FROM unnest(p_ids) WITH ORDINALITY AS listed (id, place)
        JOIN roost.offline_operations AS operation
            ON operation.user_id = roost.current_user_id() AND operation.id = listed.id
        ORDER BY listed.place
    ) AS ended;
$$;

REVOKE ALL ON FUNCTION roost.publish_offline_operations(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_offline_operations(uuid[]) TO roost_api;

COMMENT ON FUNCTION roost.publish_offline_operations(uuid[]) IS
'Tells all devices of a person what has become of operations, in this order:
offline_operation.completed, offline_operation.failed or offline_operation.discarded.';

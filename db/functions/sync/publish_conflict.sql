CREATE OR REPLACE FUNCTION roost.publish_conflict(p_conflict roost.sync_conflicts, p_event text)
RETURNS bigint
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT realtime.publish(
        format('user:%s', p_conflict.user_id),
        p_event,
        row_to_json(roost.describe_conflict(p_conflict, false))
    );
$$;

REVOKE ALL ON FUNCTION roost.publish_conflict(roost.sync_conflicts, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.publish_conflict(roost.sync_conflicts, text) TO roost_api;

COMMENT ON FUNCTION roost.publish_conflict(roost.sync_conflicts, text) IS
'Tells all devices of a person of a conflict, without what collides.';

CREATE OR REPLACE FUNCTION api.list_device_cursors(
    page_size integer DEFAULT 200,
    after_topic text DEFAULT NULL
)
RETURNS SETOF roost.device_cursor
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_after text := coalesce(list_device_cursors.after_topic, '');
BEGIN
    PERFORM roost.require_user();
    PERFORM roost.require_page_size(list_device_cursors.page_size);

    RETURN QUERY
    SELECT cursor.topic, cursor.epoch, cursor.acknowledged, cursor.updated_at
    FROM roost.device_cursors AS cursor
    WHERE cursor.device_id = roost.current_device_id()
        AND cursor.topic > v_after
        AND cursor.acknowledged IS NOT NULL
    ORDER BY cursor.topic
    LIMIT list_device_cursors.page_size;
END;
$$;

ALTER FUNCTION api.list_device_cursors(integer, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_device_cursors(integer, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_device_cursors(integer, text) TO roost_user;

COMMENT ON FUNCTION api.list_device_cursors(integer, text) IS
'Lists how far the calling device has acknowledged the events of each topic.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. after_topic, topic of the last row of the page before.
Returns: a list as acknowledge_events answers it, in order of the topics; of a session without a
device an empty one.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_device_cursors {}';

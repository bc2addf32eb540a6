-- A walk down the primary key from the newest event: it costs what has come since. Whoever sees an
-- offset sees all before it, so the first that was seen is the last that was.
--
-- Events of another server, that this log was restored from with pg_dump, have transaction ids that
-- this one has not come to yet, or has by now. The former count as seen. The latter may be taken
-- for later than they are, and are sent once more. New ones are never taken for older.
CREATE OR REPLACE FUNCTION realtime.offset_in_snapshot(p_topic text, p_snapshot pg_snapshot)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_end xid8 := pg_snapshot_xmax(pg_current_snapshot());
    v_own xid8 := pg_current_xact_id_if_assigned();
BEGIN
    RETURN coalesce(
        (
            SELECT event.event_offset
            FROM realtime.events AS event
            WHERE event.topic = p_topic
                AND (
                    event.xid IS NULL
                    OR pg_visible_in_snapshot(event.xid, p_snapshot)
                    OR (event.xid >= v_end AND event.xid IS DISTINCT FROM v_own)
                )
            ORDER BY event.event_offset DESC
            LIMIT 1
        ),
        0
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.offset_in_snapshot(text, pg_snapshot) FROM PUBLIC;

COMMENT ON FUNCTION realtime.offset_in_snapshot(text, pg_snapshot) IS
'Offset of the newest event of a topic that a snapshot saw, of those that are still kept; 0 without
one.';

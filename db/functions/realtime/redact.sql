-- Locks events before its partitions, as readers do (see realtime.make_partitions). Whoever
-- maintains partitions gives up waiting soon, so that a circle of locks, or of rows in the default
-- partition, ends there.
CREATE OR REPLACE FUNCTION realtime.redact(p_topic text, p_offsets bigint[], p_payload json)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE realtime.events AS event
    SET payload = p_payload
    WHERE event.topic = p_topic AND event.event_offset = ANY (p_offsets);

    -- What the server is told by this transaction may have them too. It reads what is left out, but
    -- for ephemeral events, which are in no log.
    IF current_setting('roost.touched', true) LIKE E'%\t%' THEN
        PERFORM set_config(
            'roost.touched',
            regexp_replace(
                current_setting('roost.touched'), E'^([^~\t\n][^\t\n]*)\t.*$', '\1', 'gn'
            ),
            true
        );
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION realtime.redact(text, bigint[], json) FROM PUBLIC;

COMMENT ON FUNCTION realtime.redact(text, bigint[], json) IS
'Overwrites the payload of those events of a topic, by offset, that are still kept. Whoever replays
them gets this payload.';

-- depends: 0017.message_constraints
-- transactional: false
-- Serves the deletion of a message, which finds the events about it. One partition at a time, so
-- that writers wait for a look through one day at most.
DO $$
DECLARE
    v_partition pg_catalog.text;
BEGIN
    -- Whoever runs this without roost has a search path of their own.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false);

    FOR v_partition IN
        SELECT relation.relname
        FROM pg_catalog.pg_inherits AS inherited
        JOIN pg_catalog.pg_class AS relation ON relation.oid = inherited.inhrelid
        WHERE inherited.inhparent = 'realtime.events'::regclass
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE INDEX IF NOT EXISTS %I ON realtime.%I (topic, about_offset)'
            ' WHERE about_offset IS NOT NULL',
            pg_catalog.concat(v_partition, '_topic_about_offset_idx'),
            v_partition
        );
        COMMIT;
    END LOOP;

    CREATE INDEX IF NOT EXISTS events_about_idx
    ON realtime.events (topic, about_offset)
    WHERE about_offset IS NOT NULL;
END;
$$;

DO $$
BEGIN
    DROP INDEX IF EXISTS realtime.events_about_idx;
    COMMIT;
END;
$$;

DELETE FROM roost.migration_checksums WHERE id = '0018.event_subject_index';

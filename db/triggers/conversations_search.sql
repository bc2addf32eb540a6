CREATE OR REPLACE FUNCTION roost.queue_for_search()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO roost.search_queue AS queued (conversation_id, before_seq)
    VALUES (NEW.id, NEW.last_seq + 1)
    ON CONFLICT (conversation_id) DO UPDATE SET before_seq = excluded.before_seq;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.queue_for_search() FROM PUBLIC;

COMMENT ON FUNCTION roost.queue_for_search() IS
'Trigger: the messages of a conversation in another language are indexed anew, by a job.';

CREATE OR REPLACE TRIGGER conversations_search_queue
AFTER UPDATE OF search_language ON roost.conversations
FOR EACH ROW
WHEN (OLD.search_language IS DISTINCT FROM NEW.search_language)
EXECUTE FUNCTION roost.queue_for_search();

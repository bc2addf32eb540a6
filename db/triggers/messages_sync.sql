-- A message that is deleted for good is in no conflict any more, nor in an operation that failed.
CREATE OR REPLACE FUNCTION roost.forget_purged_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.forget_operations_on(ARRAY[NEW.id]);

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_purged_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_purged_message() IS
'Trigger: with the content of a message go the conflicts about it, and what operations were to
write into it.';

CREATE OR REPLACE TRIGGER messages_forget_purged
AFTER UPDATE OF purged_at ON roost.messages
FOR EACH ROW
WHEN (OLD.purged_at IS NULL AND NEW.purged_at IS NOT NULL)
EXECUTE FUNCTION roost.forget_purged_message();

CREATE OR REPLACE TRIGGER messages_forget_targets
AFTER DELETE ON roost.messages
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.forget_targets();

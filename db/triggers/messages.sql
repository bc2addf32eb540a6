CREATE OR REPLACE TRIGGER messages_set_updated_at
BEFORE UPDATE ON roost.messages
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

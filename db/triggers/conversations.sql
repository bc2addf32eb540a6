-- Not for last_seq and last_activity: every message writes those.
CREATE OR REPLACE TRIGGER conversations_set_updated_at
BEFORE UPDATE OF title, workspace_path, metadata ON roost.conversations
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

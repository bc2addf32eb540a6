-- When it was last opened is no change, nor is the offset of an event about it.
CREATE OR REPLACE TRIGGER workspaces_set_updated_at
BEFORE UPDATE OF name, path, settings ON roost.workspaces
FOR EACH ROW
WHEN (
    OLD.name IS DISTINCT FROM NEW.name
    OR OLD.path IS DISTINCT FROM NEW.path
    OR OLD.settings IS DISTINCT FROM NEW.settings
)
EXECUTE FUNCTION roost.set_updated_at();

CREATE OR REPLACE TRIGGER workspaces_forget_targets
AFTER DELETE ON roost.workspaces
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.forget_targets();

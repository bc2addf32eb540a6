CREATE OR REPLACE TRIGGER file_sync_state_drop_contents
AFTER DELETE ON roost.file_sync_state
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.drop_unnamed_contents();

CREATE OR REPLACE TRIGGER file_sync_state_forget_targets
AFTER DELETE ON roost.file_sync_state
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.forget_targets();

CREATE OR REPLACE TRIGGER conversations_forget_targets
AFTER DELETE ON roost.conversations
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.forget_targets();

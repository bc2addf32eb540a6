CREATE OR REPLACE TRIGGER file_versions_drop_contents
AFTER DELETE ON roost.file_versions
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.drop_unnamed_contents();

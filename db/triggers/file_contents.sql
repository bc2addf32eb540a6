CREATE OR REPLACE TRIGGER file_contents_count_new
AFTER INSERT ON roost.file_contents
REFERENCING NEW TABLE AS made
FOR EACH STATEMENT
EXECUTE FUNCTION roost.count_new_contents();

CREATE OR REPLACE TRIGGER file_contents_count_gone
AFTER DELETE ON roost.file_contents
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.count_gone_contents();

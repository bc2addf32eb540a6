CREATE OR REPLACE TRIGGER upload_chunks_mark_unused
AFTER DELETE ON roost.upload_chunks
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.mark_unused_chunks();

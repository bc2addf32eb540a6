CREATE OR REPLACE TRIGGER content_chunks_mark_unused
AFTER DELETE ON roost.content_chunks
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.mark_unused_chunks();

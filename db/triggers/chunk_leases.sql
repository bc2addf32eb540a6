CREATE OR REPLACE TRIGGER chunk_leases_mark_unused
AFTER DELETE ON roost.chunk_leases
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.mark_unused_chunks();

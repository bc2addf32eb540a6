-- What an operation was to say, and what it met, goes with what it was about. Whoever comes here
-- has the conversation locked, as whoever records such a thing has.
CREATE OR REPLACE FUNCTION roost.forget_targets()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ids uuid[] := ARRAY(SELECT target.id FROM gone AS target);
BEGIN
    PERFORM roost.forget_operations_on(v_ids);

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_targets() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_targets() IS
'Trigger: with rows that are deleted go the conflicts about them, and what operations were to write
into them.';

-- For every table that has the column; its triggers are in db/triggers/.
CREATE OR REPLACE FUNCTION roost.set_updated_at()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.set_updated_at() FROM PUBLIC;

COMMENT ON FUNCTION roost.set_updated_at() IS
'Trigger: writes the time of the transaction into updated_at.';

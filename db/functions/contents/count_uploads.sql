CREATE OR REPLACE FUNCTION roost.count_uploads()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.move_storage(
        coalesce(NEW.owner_id, OLD.owner_id),
        coalesce(NEW.reserved, 0) - coalesce(OLD.reserved, 0)
    );

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.count_uploads() FROM PUBLIC;

COMMENT ON FUNCTION roost.count_uploads() IS
'Trigger: what an upload reserves counts in what the owner stores.';

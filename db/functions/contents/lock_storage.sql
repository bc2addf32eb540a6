-- Contents of one owner come one after another, so that two of them can not both take the last
-- room. Taken after the locks of a workspace, its topic and an upload, before that of a content.
CREATE OR REPLACE FUNCTION roost.lock_storage(p_user_id uuid)
RETURNS roost.storage_usage
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_usage roost.storage_usage;
BEGIN
    LOOP
        SELECT usage.*
        INTO v_usage
        FROM roost.storage_usage AS usage
        WHERE usage.user_id = p_user_id
        FOR NO KEY UPDATE;

        EXIT WHEN FOUND;

        INSERT INTO roost.storage_usage (user_id)
        VALUES (p_user_id)
        ON CONFLICT ON CONSTRAINT storage_usage_pkey DO NOTHING;
    END LOOP;

    RETURN v_usage;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_storage(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.lock_storage(uuid) IS
'Locks what a person stores to the end of the transaction, and answers it.';

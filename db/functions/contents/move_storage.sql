CREATE OR REPLACE FUNCTION roost.move_storage(p_user_id uuid, p_bytes bigint)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_usage roost.storage_usage;
    v_most bigint;
BEGIN
    -- The owner may have gone, and with them what is counted.
    IF p_bytes <= 0 THEN
        UPDATE roost.storage_usage AS usage
        SET bytes = usage.bytes + p_bytes
        WHERE usage.user_id = p_user_id AND p_bytes < 0;

        RETURN;
    END IF;

    v_usage := roost.lock_storage(p_user_id);

    SELECT plan.storage_bytes
    INTO v_most
    FROM roost.users AS account
    JOIN roost.plan_limits AS plan ON plan.plan_type = account.plan_type
    WHERE account.id = p_user_id;

    IF (v_usage.bytes + p_bytes <= v_most) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO701',
            MESSAGE = 'The storage of this workspace''s owner is full.',
            DETAIL = format(
                'Stored: %s bytes; allowed: %s; asked for: %s', v_usage.bytes, v_most, p_bytes
            ),
            HINT = 'Delete files for good, or change the owner''s plan.';
    END IF;

    UPDATE roost.storage_usage AS usage
    SET bytes = usage.bytes + p_bytes
    WHERE usage.user_id = p_user_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.move_storage(uuid, bigint) FROM PUBLIC;

COMMENT ON FUNCTION roost.move_storage(uuid, bigint) IS
'Counts bytes that come into, or go from, what a person stores. Errors: RO701 (more than their
plan allows).';

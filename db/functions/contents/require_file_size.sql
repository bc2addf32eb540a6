CREATE OR REPLACE FUNCTION roost.require_file_size(p_owner_id uuid, p_size bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_most bigint;
BEGIN
    SELECT plan.file_bytes
    INTO v_most
    FROM roost.users AS account
    JOIN roost.plan_limits AS plan ON plan.plan_type = account.plan_type
    WHERE account.id = p_owner_id;

    IF p_size > v_most THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO702',
            MESSAGE = 'The file is too large.',
            DETAIL = format('Bytes: %s; allowed: %s', p_size, v_most),
            HINT = 'Send a smaller file, or change the plan of the workspace''s owner.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_file_size(uuid, bigint) FROM PUBLIC;

COMMENT ON FUNCTION roost.require_file_size(uuid, bigint) IS
'Raises RO702 for a file that is larger than the owner''s plan allows.';

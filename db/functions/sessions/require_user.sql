CREATE OR REPLACE FUNCTION roost.require_user()
RETURNS uuid
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
BEGIN
    IF v_user_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO101',
            MESSAGE = 'This call needs a signed-in person.',
            HINT = 'Sign in, and send the access token as "Authorization: Bearer <token>".';
    END IF;

    RETURN v_user_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_user() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_user() TO roost_api;

COMMENT ON FUNCTION roost.require_user() IS
'The signed-in person. Raises RO101 when there is none, as for a trusted service.';

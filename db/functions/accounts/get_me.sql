CREATE OR REPLACE FUNCTION api.get_me()
RETURNS roost.account
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_user roost.users;
BEGIN
    SELECT account.*
    INTO STRICT v_user
    FROM roost.users AS account
    WHERE account.id = v_user_id;

    RETURN roost.describe_account(v_user);
END;
$$;

ALTER FUNCTION api.get_me() OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_me() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_me() TO roost_user;

COMMENT ON FUNCTION api.get_me() IS
'Reads the caller''s account.

Callers: signed-in people.
Returns: the account, an object.
Errors: RO101.
Example: POST /rpc/get_me {}';

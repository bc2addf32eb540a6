CREATE OR REPLACE FUNCTION roost.begin_link(p_user_id uuid)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM
        set_config('roost.user_id', account.id::text, true)
    FROM roost.users AS account
    WHERE account.id = p_user_id AND account.status = 'active';

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO103',
            MESSAGE = 'The account that made this link is suspended or closed.',
            HINT = 'Ask for a new link.';
    END IF;

    RETURN 'roost_user';
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_link(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_link(uuid) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_link(uuid) IS
'As roost.begin_call, for whoever brings a signed link: in the name of who made it. The server has
looked at the signature. Errors: RO103.';

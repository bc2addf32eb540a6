-- An error about a row of roost.users quotes the row, password hash included, to the client and
-- into the server's log. Called where such an error was caught, this raises it again without it.
CREATE OR REPLACE FUNCTION roost.refuse_user(p_sqlstate text, p_message text, p_constraint text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_constraint = 'users_email_is_taken' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO107',
            MESSAGE = 'This e-mail address belongs to an account.',
            HINT = 'Sign in, or use another e-mail address.';
    END IF;

    RAISE EXCEPTION USING
        ERRCODE = p_sqlstate,
        MESSAGE = p_message,
        CONSTRAINT = p_constraint;
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_user(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION roost.refuse_user(text, text, text) IS
'Raises a caught error about an account again: RO107 for a taken e-mail address, others as they were
but without the row.';

-- Before the password is hashed, which is the work that a sign-up costs. 100 are free for an
-- address: a school or a company may sign up from one. They are counted apart from its sign-ins, so
-- that newcomers keep nobody out.
-- A taken address is an answer and not an error: an error would take the charge back, and whoever
-- asks which addresses have accounts would ask for nothing.
CREATE OR REPLACE FUNCTION roost.begin_sign_up(p_email text, p_address text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- As it would be stored.
    v_email text := lower(p_email);
BEGIN
    -- The rule of the table, which can't be asked without a row; tests/test_auth.py compares them.
    IF v_email !~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$'
        OR char_length(v_email) > 254
    THEN
        PERFORM roost.refuse_user(
            '23514', 'This is not an e-mail address.', 'users_email_is_an_address'
        );
    END IF;

    PERFORM roost.charge_attempt('address:sign_up:' || p_address, 100);
    PERFORM roost.forget_attempts();

    RETURN NOT EXISTS (
        SELECT FROM roost.users AS account
        WHERE account.email OPERATOR(extensions.=) v_email::extensions.citext
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_sign_up(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_sign_up(text, text) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_sign_up(text, text) IS
'Counts a sign-up against the client''s address, and answers whether the e-mail address is free.
Errors: RO106, with the seconds to wait in its detail; 23514 (not an e-mail address).';

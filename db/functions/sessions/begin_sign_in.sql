-- Charges the attempt before anything is known about the password; finish_sign_in gives it back. An
-- address without an account is charged and answered like one that has one, but with no hash.
-- 5 failures are free for an account: a person tries a few passwords. 50 are for an address: a
-- household or an office shares one. The account's row is always locked first.
CREATE OR REPLACE FUNCTION roost.begin_sign_in(p_email text, p_address text)
RETURNS roost.sign_in_candidate
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_candidate roost.sign_in_candidate;
BEGIN
    PERFORM roost.charge_attempt(roost.account_subject(p_email), 5);
    PERFORM roost.charge_attempt('address:' || p_address, 50);
    PERFORM roost.forget_attempts();

    SELECT account.id, account.password_hash
    INTO v_candidate
    FROM roost.users AS account
    WHERE account.email OPERATOR(extensions.=) p_email::extensions.citext;

    RETURN v_candidate;
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_sign_in(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_sign_in(text, text) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_sign_in(text, text) IS
'Counts a sign-in against the account and the client''s address, and answers whose password to check
against which hash; both are NULL for an unknown address. Errors: RO106, with the seconds to wait in
its detail.';

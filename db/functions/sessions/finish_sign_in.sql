CREATE OR REPLACE FUNCTION roost.finish_sign_in(
    p_user_id uuid,
    p_email text,
    p_address text,
    p_checked_hash text,
    p_password_hash text,
    p_refresh_token_hash bytea,
    p_lifetime interval,
    p_user_agent text,
    p_device jsonb
)
RETURNS roost.signed_in
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user roost.users;
BEGIN
    -- In the order in which begin_sign_in locks them.
    DELETE FROM roost.login_attempts AS attempt
    WHERE attempt.subject = roost.account_subject(p_email);

    -- The wait that this attempt earned goes with its charge. Were it to stay, an office behind one
    -- address would be kept out by somebody's forgotten password.
    UPDATE roost.login_attempts AS attempt
    SET failures = greatest(attempt.failures - 1, 0),
        blocked_until = NULL
    WHERE attempt.subject = 'address:' || p_address;

    -- The hash is compared again under the row lock: a password that was changed while the old one
    -- was being checked opens no session. The same lock makes a change of status wait for the new
    -- session, and end it.
    UPDATE roost.users AS account
    SET last_login = now(),
        password_hash = coalesce(p_password_hash, account.password_hash)
    WHERE account.id = p_user_id AND account.password_hash = p_checked_hash
    RETURNING account.* INTO v_user;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    PERFORM roost.require_active_account(v_user.status);

    RETURN roost.open_session(
        v_user, p_refresh_token_hash, p_lifetime, p_user_agent, p_device
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.finish_sign_in(
    uuid, text, text, text, text, bytea, interval, text, jsonb
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.finish_sign_in(
    uuid, text, text, text, text, bytea, interval, text, jsonb
) TO roost_gateway;

COMMENT ON FUNCTION roost.finish_sign_in(
    uuid, text, text, text, text, bytea, interval, text, jsonb
) IS
'Opens a session for a person whose password was right, and forgets the account''s failed attempts.
p_checked_hash is the hash that the password was checked against, p_password_hash one with newer
parameters to store instead or NULL; p_refresh_token_hash, p_lifetime and p_device are as for
roost.sign_up. Answers NULL when the password has changed in between. Errors: RO103, RO201 (no such
device of theirs), 23514 (a value does not fit).';

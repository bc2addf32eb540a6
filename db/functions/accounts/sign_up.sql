-- A new person has no device yet, so a device_id in the description is not looked at: a client that
-- sends the id it has stored with every call can still sign up a second person.
CREATE OR REPLACE FUNCTION roost.sign_up(
    p_email text,
    p_password_hash text,
    p_user_metadata jsonb,
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
    v_sqlstate text;
    v_message text;
    v_constraint text;
BEGIN
    BEGIN
        INSERT INTO roost.users AS account (email, password_hash, user_metadata, last_login)
        VALUES (
            lower(p_email),
            p_password_hash,
            roost.merge_keys('{}', p_user_metadata),
            now()
        )
        RETURNING account.* INTO STRICT v_user;
    EXCEPTION
        WHEN integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS
                v_sqlstate = RETURNED_SQLSTATE,
                v_message = MESSAGE_TEXT,
                v_constraint = CONSTRAINT_NAME;
            PERFORM roost.refuse_user(v_sqlstate, v_message, v_constraint);
    END;

    RETURN roost.open_session(
        v_user, p_refresh_token_hash, p_lifetime, p_user_agent, p_device - 'device_id'
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.sign_up(text, text, jsonb, bytea, interval, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.sign_up(text, text, jsonb, bytea, interval, text, jsonb)
TO roost_gateway;

COMMENT ON FUNCTION roost.sign_up(text, text, jsonb, bytea, interval, text, jsonb) IS
'Makes an account, its first device and a session. p_refresh_token_hash is the SHA-256 of the
refresh token''s secret half, p_lifetime how long the session lasts without a refresh, p_device a
roost.device_description as JSON. Errors: RO107, 23514 (a value does not fit).';

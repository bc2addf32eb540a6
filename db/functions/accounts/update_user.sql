CREATE OR REPLACE FUNCTION roost.update_user(
    p_session_id uuid,
    p_email text,
    p_password_hash text,
    p_user_metadata jsonb
)
RETURNS roost.auth_user
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
    PERFORM roost.begin_call('user', p_session_id);

    BEGIN
        UPDATE roost.users AS account
        SET email = coalesce(lower(p_email), account.email),
            password_hash = coalesce(p_password_hash, account.password_hash),
            user_metadata = roost.merge_keys(account.user_metadata, p_user_metadata)
        WHERE account.id = roost.current_user_id()
        RETURNING account.* INTO STRICT v_user;
    EXCEPTION
        WHEN integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS
                v_sqlstate = RETURNED_SQLSTATE,
                v_message = MESSAGE_TEXT,
                v_constraint = CONSTRAINT_NAME;
            PERFORM roost.refuse_user(v_sqlstate, v_message, v_constraint);
    END;

    -- Whoever knew the old password is out. The person's row is locked since the UPDATE: a sign-in
    -- with the old password has either finished, and is ended here, or waits and is refused.
    IF p_password_hash IS NOT NULL THEN
        PERFORM roost.revoke_sessions(v_user.id, p_except => p_session_id);
    END IF;

    RETURN roost.describe_auth_user(v_user);
END;
$$;

REVOKE ALL ON FUNCTION roost.update_user(uuid, text, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.update_user(uuid, text, text, jsonb) TO roost_gateway;

COMMENT ON FUNCTION roost.update_user(uuid, text, text, jsonb) IS
'Changes e-mail address, password or user_metadata (merged by key) of the person of a living
session; NULL leaves a value as it is. A new password ends the person''s other sessions. Errors:
RO102, RO103, RO107, 23514 (a value does not fit).';

-- Decides under the lock of the session's row. Of requests that bring the same token at the same
-- moment (browser tabs, a retry after a lost answer) the first rotates it; the others wait, find it
-- to be the previous one, and are told that its successor stands. They can be given the same
-- successor again without its being stored, since the server derives it from the token presented.
-- A token that is neither the current one nor, within the grace, the one before has been used by
-- somebody else as well: the session, with all tokens of its family, is over for both.
CREATE OR REPLACE FUNCTION roost.refresh_session(
    p_session_id uuid,
    p_presented_hash bytea,
    p_successor_hash bytea,
    p_lifetime interval
)
RETURNS roost.refreshed
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_grace CONSTANT interval := interval '10 seconds';
    v_session roost.sessions;
    v_user roost.users;
    v_outcome roost.refresh_outcome;
    v_refreshed roost.refreshed;
BEGIN
    SELECT session.*
    INTO v_session
    FROM roost.sessions AS session
    WHERE session.id = p_session_id
    FOR UPDATE;

    SELECT account.*
    INTO v_user
    FROM roost.users AS account
    WHERE account.id = v_session.user_id;

    -- Only to whoever holds the token: to others the session is unknown.
    IF v_session.refresh_token_hash = p_presented_hash THEN
        PERFORM roost.require_active_account(v_user.status);
    END IF;

    CASE
        WHEN v_session.id IS NULL
            OR v_session.revoked_at IS NOT NULL
            OR v_session.expires_at <= clock_timestamp()
        THEN
            v_outcome := 'unknown';
        WHEN v_session.refresh_token_hash = p_presented_hash THEN
            v_outcome := 'rotated';
        WHEN v_session.previous_refresh_token_hash = p_presented_hash
            AND v_session.refresh_token_hash = p_successor_hash
            AND v_session.refreshed_at > clock_timestamp() - c_grace
        THEN
            v_outcome := 'repeated';
        ELSE
            v_outcome := 'replayed';
    END CASE;

    IF v_outcome = 'rotated' THEN
        UPDATE roost.sessions AS session
        SET refresh_token_hash = p_successor_hash,
            previous_refresh_token_hash = p_presented_hash,
            refreshed_at = clock_timestamp(),
            last_activity = now(),
            expires_at = now() + p_lifetime
        WHERE session.id = p_session_id;

        -- Everyone else locks a device before its sessions. Here it is the other way round, so this
        -- does not wait: whoever holds the row writes it.
        UPDATE roost.devices AS device
        SET last_seen = now()
        FROM (
            SELECT free.id
            FROM roost.devices AS free
            WHERE free.id = v_session.device_id
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS own
        WHERE device.id = own.id;
    ELSIF v_outcome = 'replayed' THEN
        UPDATE roost.sessions AS session
        SET revoked_at = now()
        WHERE session.id = p_session_id;
    END IF;

    v_refreshed.outcome := v_outcome;

    IF v_outcome IN ('rotated', 'repeated') THEN
        v_refreshed.session :=
            (v_session.id, v_session.device_id, roost.describe_auth_user(v_user))::roost.signed_in;
    END IF;

    RETURN v_refreshed;
END;
$$;

REVOKE ALL ON FUNCTION roost.refresh_session(uuid, bytea, bytea, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.refresh_session(uuid, bytea, bytea, interval) TO roost_gateway;

COMMENT ON FUNCTION roost.refresh_session(uuid, bytea, bytea, interval) IS
'Rotates a refresh token: the hashes are those of the secret half presented and of its successor.
Answers the outcome: rotated, repeated (presented again within 10 s: the same successor stands),
replayed (the session is revoked now: RO105) or unknown (RO104); with the session for the first two.
Errors: RO103.';

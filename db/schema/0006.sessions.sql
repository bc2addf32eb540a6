-- depends: 0005.devices
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

CREATE TABLE roost.sessions (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL,
    device_id uuid NOT NULL,
    refresh_token_hash bytea NOT NULL,
    previous_refresh_token_hash bytea,
    refreshed_at timestamptz,
    user_agent text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    last_activity timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT sessions_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT sessions_refresh_token_hash_is_sha256 CHECK (octet_length(refresh_token_hash) = 32),
    CONSTRAINT sessions_previous_refresh_token_hash_is_sha256
    CHECK (octet_length(previous_refresh_token_hash) = 32),
    CONSTRAINT sessions_previous_token_has_time
    CHECK ((previous_refresh_token_hash IS NULL) = (refreshed_at IS NULL)),
    CONSTRAINT sessions_user_agent_fits CHECK (char_length(user_agent) <= 200)
);

COMMENT ON TABLE roost.sessions IS
'Sign-ins. A session is a family of refresh tokens: one is current, and all end with it.';

COMMENT ON COLUMN roost.sessions.id IS
'Time-ordered identifier; named in access and refresh tokens.';

COMMENT ON COLUMN roost.sessions.user_id IS 'Who signed in.';

COMMENT ON COLUMN roost.sessions.device_id IS 'The device that was signed in on.';

COMMENT ON COLUMN roost.sessions.refresh_token_hash IS 'SHA-256 of the current refresh token.';

COMMENT ON COLUMN roost.sessions.previous_refresh_token_hash IS
'SHA-256 of the one before: good for a short time after rotation, proof of theft after that.';

COMMENT ON COLUMN roost.sessions.refreshed_at IS
'When the current refresh token replaced the one before.';

COMMENT ON COLUMN roost.sessions.user_agent IS
'Client software at sign-in, at most 200 characters.';

COMMENT ON COLUMN roost.sessions.created_at IS 'When the person signed in.';

COMMENT ON COLUMN roost.sessions.last_activity IS 'Last sign-in or refresh.';

COMMENT ON COLUMN roost.sessions.expires_at IS 'When it ends unless it is refreshed before.';

COMMENT ON COLUMN roost.sessions.revoked_at IS 'When it was ended early; empty while it lives.';

CREATE INDEX sessions_user_device_idx ON roost.sessions (user_id, device_id);

-- Serves the foreign key to devices.
CREATE INDEX sessions_device_idx ON roost.sessions (device_id, user_id);

ALTER TABLE roost.sessions ENABLE ROW LEVEL SECURITY;

CREATE POLICY sessions_select_own ON roost.sessions
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY sessions_update_own ON roost.sessions
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()))
WITH CHECK (user_id = (SELECT roost.current_user_id()));

GRANT SELECT (
    id, user_id, device_id, user_agent, created_at, last_activity, expires_at, revoked_at
) ON roost.sessions TO roost_api;

GRANT UPDATE (device_id, revoked_at) ON roost.sessions TO roost_api;

-- Failed sign-ins, counted before the password is checked so that parallel guesses can't outrun it.
CREATE TABLE roost.login_attempts (
    subject text PRIMARY KEY,
    -- It starts again after an hour without an attempt, so the limit of the type is far away.
    -- squawk-ignore prefer-bigint-over-int
    failures integer NOT NULL DEFAULT 0,
    last_attempt_at timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz,
    CONSTRAINT login_attempts_subject_is_known CHECK (subject ~ '^(account|address):'),
    CONSTRAINT login_attempts_failures_count_up CHECK (failures >= 0)
);

COMMENT ON TABLE roost.login_attempts IS
'Sign-ins that have not succeeded, per account and per address, and the wait that they earned.';

COMMENT ON COLUMN roost.login_attempts.subject IS
'account:<SHA-256 of the address in lower case> or address:<IP address>.';

COMMENT ON COLUMN roost.login_attempts.failures IS 'Attempts since the last success.';

COMMENT ON COLUMN roost.login_attempts.last_attempt_at IS 'When the last one came.';

COMMENT ON COLUMN roost.login_attempts.blocked_until IS 'No attempt is looked at before.';

-- Serves the removal of rows that no longer matter.
CREATE INDEX login_attempts_last_attempt_at_idx ON roost.login_attempts (last_attempt_at);

ALTER TABLE roost.login_attempts ENABLE ROW LEVEL SECURITY;

-- What list_sessions and revoke_session answer: a session without its secrets.
CREATE TYPE roost.session AS (
    id uuid,
    device_id uuid,
    user_agent text,
    current boolean,
    last_activity timestamptz,
    expires_at timestamptz,
    created_at timestamptz,
    revoked_at timestamptz
);

-- The person as the auth endpoints show them.
CREATE TYPE roost.auth_user AS (
    id uuid,
    email text,
    user_metadata jsonb,
    last_login timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

-- A session and whose it is: what a server needs to issue tokens.
CREATE TYPE roost.signed_in AS (
    session_id uuid,
    device_id uuid,
    account roost.auth_user
);

-- Whose password is to be checked, and against what.
CREATE TYPE roost.sign_in_candidate AS (
    user_id uuid,
    password_hash text
);

CREATE TYPE roost.refresh_outcome AS ENUM ('rotated', 'repeated', 'replayed', 'unknown');

-- An outcome and not an error where the session has to stay revoked: an error would undo that.
CREATE TYPE roost.refreshed AS (
    outcome roost.refresh_outcome,
    session roost.signed_in
);

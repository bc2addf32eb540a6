-- Loaded beside pgTAP, into its schema: lets a test call a function as each kind of caller.

-- Runs a query as a role and a person, and answers the first column of its first row as text. The
-- role is put back after it; after an error the savepoint of throws_ok() does that.
CREATE OR REPLACE FUNCTION as_caller(p_role text, p_user_id uuid, p_query text)
RETURNS text
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_answer text;
BEGIN
    PERFORM set_config('roost.user_id', coalesce(p_user_id::text, ''), true);
    PERFORM set_config('role', p_role, true);
    EXECUTE p_query INTO v_answer;
    PERFORM set_config('role', 'none', true);
    RETURN v_answer;
END;
$$;

-- The same as text, for throws_ok() and lives_ok():
--     SELECT throws_ok(calling('roost_anon', NULL, 'SELECT api.get_me()'), '42501', NULL, '...');
CREATE OR REPLACE FUNCTION calling(p_role text, p_user_id uuid, p_query text)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN format('SELECT as_caller(%L, %L, %L)', p_role, p_user_id, p_query);

-- A person with an account, for tests that need somebody.
CREATE OR REPLACE FUNCTION make_user(p_id uuid, p_email text)
RETURNS uuid
LANGUAGE sql
VOLATILE
AS $$
    INSERT INTO roost.users (id, email, password_hash)
    VALUES (p_id, p_email, '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g')
    RETURNING id;
$$;

-- A device of a person with a living session on it; answers the session's id.
CREATE OR REPLACE FUNCTION make_session(p_user_id uuid, p_device_id uuid, p_session_id uuid)
RETURNS uuid
LANGUAGE sql
VOLATILE
AS $$
    INSERT INTO roost.devices (id, user_id) VALUES (p_device_id, p_user_id)
    ON CONFLICT DO NOTHING;

    INSERT INTO roost.sessions (id, user_id, device_id, refresh_token_hash, expires_at)
    VALUES (
        p_session_id, p_user_id, p_device_id, sha256(p_session_id::text::bytea),
        now() + interval '1 hour'
    )
    RETURNING id;
$$;

-- Runs a command as a role and a person, and answers how many rows it has changed.
CREATE OR REPLACE FUNCTION rows_changed(p_role text, p_user_id uuid, p_command text)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_rows bigint;
BEGIN
    PERFORM set_config('roost.user_id', coalesce(p_user_id::text, ''), true);
    PERFORM set_config('role', p_role, true);
    EXECUTE p_command;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    PERFORM set_config('role', 'none', true);
    RETURN v_rows;
END;
$$;

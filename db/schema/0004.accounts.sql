-- depends: 0003.system
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

CREATE TYPE roost.plan_type AS ENUM ('free', 'pro', 'enterprise');

CREATE TYPE roost.user_status AS ENUM ('active', 'suspended', 'closed');

CREATE TABLE roost.users (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    email extensions.citext NOT NULL,
    password_hash text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    plan_type roost.plan_type NOT NULL DEFAULT 'free',
    user_metadata roost.json_object NOT NULL DEFAULT '{}',
    preferences roost.json_object NOT NULL DEFAULT '{}',
    security_settings roost.json_object NOT NULL DEFAULT '{}',
    status roost.user_status NOT NULL DEFAULT 'active',
    last_login timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Guards two sign-ups with one address at the same moment: the second waits and is refused.
    CONSTRAINT users_email_is_taken UNIQUE (email),
    CONSTRAINT users_email_is_an_address CHECK (
        email::text ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$'
        AND char_length(email::text) <= 254
    ),
    -- The database never sees a password, and takes nothing but an Argon2id hash for one.
    CONSTRAINT users_password_hash_is_argon2id CHECK (password_hash ~ '^[$]argon2id[$]v=19[$]'),
    CONSTRAINT users_display_name_fits CHECK (char_length(display_name) <= 100)
);

COMMENT ON TABLE roost.users IS 'Accounts: one row a person.';

COMMENT ON COLUMN roost.users.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.users.email IS 'Sign-in name; upper and lower case are the same address.';

COMMENT ON COLUMN roost.users.password_hash IS
'Argon2id in PHC string format. Never leaves the database but for verification.';

COMMENT ON COLUMN roost.users.display_name IS 'Name shown to others, at most 100 characters.';

COMMENT ON COLUMN roost.users.plan_type IS 'What the person pays for.';

COMMENT ON COLUMN roost.users.user_metadata IS
'Free data of the client (user_metadata of the auth endpoints).';

COMMENT ON COLUMN roost.users.preferences IS 'Settings of the person, merged by key.';

COMMENT ON COLUMN roost.users.security_settings IS
'Security settings of the person, merged by key.';

COMMENT ON COLUMN roost.users.status IS
'Only an active account signs in; leaving that state ends all sessions.';

COMMENT ON COLUMN roost.users.last_login IS 'Last sign-in with a password.';

COMMENT ON COLUMN roost.users.created_at IS 'When the account was made.';

COMMENT ON COLUMN roost.users.updated_at IS 'When the row last changed.';

COMMENT ON CONSTRAINT users_email_is_taken ON roost.users IS
'Sign in, or use another e-mail address.';

COMMENT ON CONSTRAINT users_email_is_an_address ON roost.users IS
'Send an e-mail address of at most 254 characters, such as ada@example.com.';

COMMENT ON CONSTRAINT users_display_name_fits ON roost.users IS
'Send a display name of at most 100 characters.';

ALTER TABLE roost.users ENABLE ROW LEVEL SECURITY;

CREATE POLICY users_select_self ON roost.users
FOR SELECT TO roost_api
USING (id = (SELECT roost.current_user_id()));

CREATE POLICY users_update_self ON roost.users
FOR UPDATE TO roost_api
USING (id = (SELECT roost.current_user_id()))
WITH CHECK (id = (SELECT roost.current_user_id()));

GRANT SELECT ON roost.users TO roost_api;

GRANT UPDATE (display_name, preferences, security_settings, updated_at) ON roost.users TO roost_api;

-- What get_me and update_me answer: an account without its secrets.
CREATE TYPE roost.account AS (
    id uuid,
    email text,
    display_name text,
    plan_type roost.plan_type,
    preferences jsonb,
    security_settings jsonb,
    status roost.user_status,
    last_login timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

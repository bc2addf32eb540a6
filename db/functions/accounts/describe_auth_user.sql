CREATE OR REPLACE FUNCTION roost.describe_auth_user(p_user roost.users)
RETURNS roost.auth_user
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_user.id,
        p_user.email::text,
        p_user.user_metadata::jsonb,
        p_user.last_login,
        p_user.created_at,
        p_user.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_auth_user(roost.users) FROM PUBLIC;

COMMENT ON FUNCTION roost.describe_auth_user(roost.users) IS
'An account as the auth endpoints show it.';

CREATE OR REPLACE FUNCTION roost.describe_account(p_user roost.users)
RETURNS roost.account
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_user.id,
        p_user.email::text,
        p_user.display_name,
        p_user.plan_type,
        p_user.preferences::jsonb,
        p_user.security_settings::jsonb,
        p_user.status,
        p_user.last_login,
        p_user.created_at,
        p_user.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_account(roost.users) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_account(roost.users) TO roost_api;

COMMENT ON FUNCTION roost.describe_account(roost.users) IS
'An account as its owner sees it: without the password hash.';

-- Runs as the owner: a caller may name other people, but sees none of their accounts.
CREATE OR REPLACE FUNCTION roost.require_active_users(p_user_ids uuid[])
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_missing text;
BEGIN
    SELECT string_agg(coalesce(asked.user_id::text, 'null'), ', ')
    INTO v_missing
    FROM unnest(p_user_ids) AS asked (user_id)
    WHERE NOT EXISTS (
        SELECT FROM roost.users AS account
        WHERE account.id = asked.user_id AND account.status = 'active'
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such person.',
            DETAIL = format('Unknown: %s', v_missing),
            HINT = 'Send the user ids of people who have an account.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_active_users(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_active_users(uuid[]) TO roost_api;

COMMENT ON FUNCTION roost.require_active_users(uuid[]) IS
'Raises RO201 unless all of these people have an active account.';

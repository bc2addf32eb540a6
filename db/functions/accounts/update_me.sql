CREATE OR REPLACE FUNCTION api.update_me(
    display_name text DEFAULT NULL,
    preferences jsonb DEFAULT NULL,
    security_settings jsonb DEFAULT NULL
)
RETURNS roost.account
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_user roost.users;
BEGIN
    -- Merged inside the UPDATE, under its row lock: two devices that set different keys at the same
    -- moment both keep theirs.
    UPDATE roost.users AS account
    SET display_name = coalesce(update_me.display_name, account.display_name),
        preferences = roost.merge_keys(account.preferences, update_me.preferences),
        security_settings = roost.merge_keys(
            account.security_settings, update_me.security_settings
        )
    WHERE account.id = v_user_id
    RETURNING account.* INTO STRICT v_user;

    RETURN roost.describe_account(v_user);
END;
$$;

ALTER FUNCTION api.update_me(text, jsonb, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.update_me(text, jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.update_me(text, jsonb, jsonb) TO roost_user;

COMMENT ON FUNCTION api.update_me(text, jsonb, jsonb) IS
'Changes the caller''s account. What is left out stays as it is.

Callers: signed-in people.
Arguments: display_name, at most 100 characters. preferences and security_settings, objects that are
laid over the stored ones key by key; a key whose value is null is removed. Each is at most 64 KiB.
Returns: the account, an object.
Errors: RO101, 23514 (a value does not fit).
Example: POST /rpc/update_me {"preferences": {"theme": "dark", "old_key": null}}';

CREATE OR REPLACE FUNCTION api.delete_event_subscription(id uuid)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    DELETE FROM roost.event_subscriptions AS rule
    WHERE rule.id = delete_event_subscription.id AND rule.user_id = v_user_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such event subscription.',
            DETAIL = format('Id: %s', coalesce(delete_event_subscription.id::text, 'null')),
            HINT = 'Send the id of one from list_event_subscriptions.';
    END IF;
END;
$$;

ALTER FUNCTION api.delete_event_subscription(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.delete_event_subscription(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.delete_event_subscription(uuid) TO roost_user;

COMMENT ON FUNCTION api.delete_event_subscription(uuid) IS
'Takes back what set_event_subscription said, on devices that are connected too.

Callers: signed-in people.
Arguments: id, of one from list_event_subscriptions.
Returns: nothing.
Errors: RO101, RO201 (no such rule of yours).
Example: POST /rpc/delete_event_subscription {"id": "<id>"}';

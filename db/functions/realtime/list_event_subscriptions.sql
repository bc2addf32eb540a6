CREATE OR REPLACE FUNCTION api.list_event_subscriptions(device_id uuid DEFAULT NULL)
RETURNS SETOF roost.event_subscription
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    RETURN QUERY
    SELECT described.*
    FROM roost.event_subscriptions AS rule
    CROSS JOIN LATERAL roost.describe_event_subscription(rule) AS described
    WHERE rule.user_id = v_user_id
        AND (
            list_event_subscriptions.device_id IS NULL
            OR rule.device_id IS NULL
            OR rule.device_id = list_event_subscriptions.device_id
        )
    ORDER BY roost.subscription_rank(rule) DESC, rule.id;
END;
$$;

ALTER FUNCTION api.list_event_subscriptions(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_event_subscriptions(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_event_subscriptions(uuid) TO roost_user;

COMMENT ON FUNCTION api.list_event_subscriptions(uuid) IS
'Lists what the caller has said about events with set_event_subscription, in the order in which it
decides: of the rules that are about an event on a device the first counts.

Callers: signed-in people.
Arguments: device_id, to leave out rules for other devices than this one.
Returns: a list of rules, at most 200.
Errors: RO101.
Example: POST /rpc/list_event_subscriptions {}';

CREATE OR REPLACE FUNCTION roost.describe_event_subscription(p_rule roost.event_subscriptions)
RETURNS roost.event_subscription
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_rule.id,
        p_rule.device_id,
        p_rule.topic,
        p_rule.event,
        p_rule.delivery,
        p_rule.created_at,
        p_rule.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_event_subscription(roost.event_subscriptions) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_event_subscription(roost.event_subscriptions) TO roost_api;

COMMENT ON FUNCTION roost.describe_event_subscription(roost.event_subscriptions) IS
'An event subscription as its person sees it.';

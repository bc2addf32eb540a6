CREATE OR REPLACE FUNCTION realtime.get_subscriptions()
RETURNS json
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device_id uuid := roost.current_device_id();
BEGIN
    RETURN (
        SELECT coalesce(
            json_agg(
                json_build_object(
                    'topic', rule.topic, 'event', rule.event, 'delivery', rule.delivery
                )
                ORDER BY roost.subscription_rank(rule) DESC, rule.id
            ),
            '[]'
        )
        FROM roost.event_subscriptions AS rule
        WHERE rule.user_id = v_user_id
            AND (rule.device_id IS NULL OR rule.device_id = v_device_id)
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.get_subscriptions() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.get_subscriptions() TO roost_user;

COMMENT ON FUNCTION realtime.get_subscriptions() IS
'What the caller wants to get on the calling device: a JSON list of {topic, event, delivery} in the
order in which they decide (roost.subscription_rank). Of the rules that are about an event the
first counts; without one it is delivered. topic null is every topic, event null every event,
message.* every event whose name begins with "message.". Errors: RO101.';

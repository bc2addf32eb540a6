-- How much a rule says of its case, first of the device, then of the topic, then of the event: one
-- for a device beats one for all devices, whatever else both say. Of two families that an event is
-- in, one is the beginning of the other, so that the longer one says more. Equal in all of it are
-- only rules that are about different events, or none: see the table's unique constraint.
CREATE OR REPLACE FUNCTION roost.subscription_rank(p_rule roost.event_subscriptions)
RETURNS bigint
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN
    CASE WHEN p_rule.device_id IS NULL THEN 0 ELSE 4000 END
    + CASE WHEN p_rule.topic IS NULL THEN 0 ELSE 2000 END
    + CASE
        WHEN p_rule.event IS NULL THEN 0
        WHEN p_rule.event LIKE '%.*' THEN char_length(p_rule.event)
        ELSE 1000
    END;

REVOKE ALL ON FUNCTION roost.subscription_rank(roost.event_subscriptions) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.subscription_rank(roost.event_subscriptions) TO roost_api;

COMMENT ON FUNCTION roost.subscription_rank(roost.event_subscriptions) IS
'Of two rules that are about an event the one of the higher rank decides: one for the device before
one for all devices, then one for the topic before one for all topics, then the exact event before a
family (message.*, the longer family first) before all events.';

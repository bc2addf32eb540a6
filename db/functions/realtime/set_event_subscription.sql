CREATE OR REPLACE FUNCTION api.set_event_subscription(
    delivery roost.event_delivery,
    topic text DEFAULT NULL,
    event text DEFAULT NULL,
    device_id uuid DEFAULT NULL
)
RETURNS roost.event_subscription
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 200;
    v_user_id uuid := roost.require_user();
    v_rule roost.event_subscriptions;
BEGIN
    IF set_event_subscription.topic IS NOT NULL
        AND NOT realtime.can_join(set_event_subscription.topic)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'You may not join this topic.',
            DETAIL = format('Topic: %s', set_event_subscription.topic),
            HINT = 'Send a topic that you may join, such as conversation:<id>, or leave it out for'
                ' all of them.';
    END IF;

    IF set_event_subscription.device_id IS NOT NULL THEN
        -- As the foreign key does, but before it refuses: the device may go at this moment.
        PERFORM
        FROM roost.devices AS device
        WHERE device.id = set_event_subscription.device_id
            AND device.user_id = v_user_id
            AND device.status = 'active'
        FOR KEY SHARE;

        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO201',
                MESSAGE = 'You have no such device, or it was revoked.',
                DETAIL = format('Device: %s', set_event_subscription.device_id),
                HINT = 'Send the id of a device from list_devices, or leave it out for all.';
        END IF;
    END IF;

    -- One after the other of a person: of two devices that set the last rule at once the second
    -- counts the first's too.
    PERFORM pg_advisory_xact_lock(
        hashtextextended(format('roost:event_subscriptions:%s', v_user_id), 0)
    );

    INSERT INTO roost.event_subscriptions AS rule (user_id, device_id, topic, event, delivery)
    VALUES (
        v_user_id,
        set_event_subscription.device_id,
        set_event_subscription.topic,
        set_event_subscription.event,
        set_event_subscription.delivery
    )
    ON CONFLICT ON CONSTRAINT event_subscriptions_one_for_each_case
    DO UPDATE SET delivery = excluded.delivery
    RETURNING rule.* INTO STRICT v_rule;

    IF (
        SELECT count(*) FROM roost.event_subscriptions AS rule WHERE rule.user_id = v_user_id
    ) > c_most
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'You have too many event subscriptions.',
            DETAIL = format('Most: %s', c_most),
            HINT = 'Delete some with delete_event_subscription, or set one for more than one topic'
                ' or event: leave topic out, or send a family such as message.*.';
    END IF;

    RETURN roost.describe_event_subscription(v_rule);
END;
$$;

ALTER FUNCTION api.set_event_subscription(roost.event_delivery, text, text, uuid)
OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.set_event_subscription(roost.event_delivery, text, text, uuid)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.set_event_subscription(roost.event_delivery, text, text, uuid)
TO roost_user;

COMMENT ON FUNCTION api.set_event_subscription(roost.event_delivery, text, text, uuid) IS
'Says what the caller''s devices get of which events, also when they are connected already. Of the
rules that are about an event the one that says most about its case decides: one for the device
before one for all devices, then one for the topic before one for all topics, then the exact event
before a family (the longer first) before all events. An event without a rule is delivered, and so
is, whatever a rule says, one that ends the right to its topic.

Callers: signed-in people.
Arguments: delivery: all; silent, to get it marked as nothing to draw attention to; none. topic, one
that the caller may join, also where its events come through the inbox; left out, all topics. event,
its name, or message.* for all whose name begins with message. and so on; left out, all events.
device_id, an active device of the caller''s; left out, all devices. The same topic, event and
device again replace what was said. At most 200 of a person.
Returns: the rule, an object.
Errors: RO101, RO201 (not your device, or revoked), RO302 (more than 200), RO401 (not your topic),
22P02 (unknown delivery), 23502 (no delivery), 23514 (no proper event).
Example: POST /rpc/set_event_subscription {"event": "message.*", "delivery": "silent"}';

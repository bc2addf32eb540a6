-- One expression, which the planner puts into the statement. Names are compared as they are
-- written: to a client, Message.created is another event than message.created.
CREATE OR REPLACE FUNCTION realtime.is_reserved_event(p_topic text, p_event text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN coalesce(
    p_topic IS NULL
    OR p_event ~ '^(phx_|presence_(state|diff)$|hidden$|must_refetch$)'
    OR (
        p_topic ~ '^(conversation|user|device|workspace|project):'
        AND p_event ~ (
            '^(presence|(message|participant|conversation|account|conflict|sync)[.]'
            || '|(device|device_message|offline_operation|workspace|workspace_member)[.]'
            || '|(file|upload|download)[.]'
            || '|(typing|reaction|receipt|hidden|must_refetch)([.]|$))'
        )
    ),
    true
);

REVOKE ALL ON FUNCTION realtime.is_reserved_event(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.is_reserved_event(text, text) TO roost_api;

COMMENT ON FUNCTION realtime.is_reserved_event(text, text) IS
'Whether an event is sent by the server alone, so that whoever gets it can rely on it: in every
topic the events of the protocol, in Roost''s own topics also those that Roost publishes there.';

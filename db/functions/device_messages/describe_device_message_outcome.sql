CREATE OR REPLACE FUNCTION roost.describe_device_message_outcome(
    p_outcome roost.device_message_outcomes
)
RETURNS roost.device_message
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_outcome.id,
        p_outcome.from_device_id,
        p_outcome.to_device_id,
        p_outcome.number,
        p_outcome.state,
        NULL::text,
        NULL::jsonb,
        NULL::uuid,
        p_outcome.created_at,
        p_outcome.expires_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_device_message_outcome(roost.device_message_outcomes)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_device_message_outcome(roost.device_message_outcomes)
TO roost_api;

COMMENT ON FUNCTION roost.describe_device_message_outcome(roost.device_message_outcomes) IS
'A device message that waits no longer: without what it said.';

-- Runs as the owner, since devices are hidden from everybody else. So it asks by itself what the
-- caller may see: what is merged of people they share a conversation with, and no more. Somebody
-- else is left out, and so is an id that nobody has: neither tells which of the two it is.
CREATE OR REPLACE FUNCTION roost.read_presence(p_user_ids uuid[])
RETURNS SETOF roost.presence
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_devices CONSTANT integer := 100;
    v_user_id uuid := roost.require_user();
    v_visible_ids uuid[];
BEGIN
    v_visible_ids := ARRAY(
        SELECT fellow.user_id
        FROM roost.conversation_participants AS own
        JOIN roost.conversation_participants AS fellow
            ON fellow.conversation_id = own.conversation_id
        WHERE own.user_id = v_user_id
            AND own.left_at IS NULL
            AND NOT own.suspended
            AND fellow.user_id = ANY(p_user_ids)
            AND fellow.left_at IS NULL
        UNION
        SELECT v_user_id WHERE v_user_id = ANY(p_user_ids)
    );

    RETURN QUERY
    SELECT
        account.id,
        coalesce(merged.status, 'offline'),
        merged.activity,
        merged.last_seen,
        CASE
            WHEN account.id = v_user_id
                THEN ARRAY(
                    SELECT
                        ROW(
                            presence.device_id,
                            presence.status,
                            presence.activity,
                            presence.connected,
                            presence.last_seen
                        )::roost.present_device
                    FROM roost.current_presence AS presence
                    JOIN roost.devices AS device ON device.id = presence.device_id
                    WHERE presence.user_id = v_user_id
                        AND device.status = 'active'
                        AND (presence.connected OR presence.last_seen IS NOT NULL)
                    ORDER BY presence.connected DESC, presence.last_seen DESC, presence.device_id
                    LIMIT c_most_devices
                )
        END
    FROM roost.users AS account
    LEFT JOIN LATERAL (
        SELECT presence.status, presence.activity, presence.last_seen
        FROM roost.user_presence AS presence
        WHERE presence.user_id = account.id
        -- Person by person: joined as a whole, everybody would be merged first.
        OFFSET 0
    ) AS merged ON true
    WHERE account.id = ANY(v_visible_ids)
    ORDER BY account.id;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_presence(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_presence(uuid[]) TO roost_api;

COMMENT ON FUNCTION roost.read_presence(uuid[]) IS
'The presence of the caller, with devices, and of people who share a conversation with them, without
them; others are left out. In order of ids. Errors: RO101.';

-- Lock order. Every transaction locks rows in this order, so that no two can wait for each other:
--
--     1. login_attempts: the account's, then the address's
--     2. users
--     3. conversations
--     4. devices, by id
--     5. device_messages, by id, with both of their devices locked
--     6. realtime.topics, by name: device:<id>, then user:<id>
--     7. sessions, by id
--     8. extension_connections
--
-- So what is published about a device is published before sessions are touched, and nothing that
-- holds a session takes anything but sessions and connections. Whoever comes from the wrong side
-- does not wait: SKIP LOCKED (refresh_session). A foreign key locks the row that it points to FOR
-- KEY SHARE, which waits only for somebody who deletes that row, changes its key or has it FOR
-- UPDATE.
--
-- Here: two that end overlapping sets (sign-out everywhere from two devices) can't wait for each
-- other.
CREATE OR REPLACE FUNCTION roost.revoke_sessions(
    p_user_id uuid,
    p_device_id uuid DEFAULT NULL,
    p_except uuid DEFAULT NULL
)
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH living AS (
        SELECT session.id
        FROM roost.sessions AS session
        WHERE session.user_id = p_user_id
            AND (p_device_id IS NULL OR session.device_id = p_device_id)
            AND session.id IS DISTINCT FROM p_except
            AND session.revoked_at IS NULL
        ORDER BY session.id
        FOR NO KEY UPDATE
    )
    UPDATE roost.sessions AS session
    SET revoked_at = now()
    FROM living
    WHERE session.id = living.id;
$$;

REVOKE ALL ON FUNCTION roost.revoke_sessions(uuid, uuid, uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.revoke_sessions(uuid, uuid, uuid) IS
'Ends a person''s living sessions: all of them, or those on p_device_id, but not p_except.';

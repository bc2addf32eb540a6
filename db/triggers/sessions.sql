-- However a session ends (sign-out, a revoked device, a closed account, an operator in psql), its
-- sockets are closed.
CREATE OR REPLACE FUNCTION roost.close_sockets_of_session()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM realtime.wake(format('!session:%s', OLD.id));
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.close_sockets_of_session() FROM PUBLIC;

COMMENT ON FUNCTION roost.close_sockets_of_session() IS
'Trigger: tells the relays to close the sockets of a session that has ended.';

CREATE OR REPLACE TRIGGER sessions_close_sockets_on_revoke
AFTER UPDATE OF revoked_at ON roost.sessions
FOR EACH ROW
WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
EXECUTE FUNCTION roost.close_sockets_of_session();

CREATE OR REPLACE TRIGGER sessions_close_sockets_on_delete
AFTER DELETE ON roost.sessions
FOR EACH ROW
WHEN (OLD.revoked_at IS NULL)
EXECUTE FUNCTION roost.close_sockets_of_session();

-- A session that has moved to another device (api.register_device) is to get what the person wants
-- there.
CREATE OR REPLACE TRIGGER sessions_announce_subscriptions
AFTER UPDATE OF device_id ON roost.sessions
FOR EACH ROW
WHEN (OLD.device_id <> NEW.device_id)
EXECUTE FUNCTION roost.announce_subscriptions();

CREATE OR REPLACE TRIGGER event_subscriptions_set_updated_at
BEFORE UPDATE ON roost.event_subscriptions
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

-- However they change (a call, a device that goes, an operator in psql), those who are connected
-- are sent what they say now. The servers read them again (realtime.get_subscriptions) when they
-- get the line, which is after commit: of two changes the later reading has both.
CREATE OR REPLACE FUNCTION roost.announce_subscriptions()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM realtime.wake(format('!subscriptions:%s', OLD.user_id));
    ELSE
        PERFORM realtime.wake(format('!subscriptions:%s', NEW.user_id));
    END IF;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_subscriptions() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_subscriptions() IS
'Trigger: tells the relays that a person''s event subscriptions are others than they were.';

CREATE OR REPLACE TRIGGER event_subscriptions_announce
AFTER INSERT OR DELETE ON roost.event_subscriptions
FOR EACH ROW
EXECUTE FUNCTION roost.announce_subscriptions();

CREATE OR REPLACE TRIGGER event_subscriptions_announce_update
AFTER UPDATE ON roost.event_subscriptions
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.announce_subscriptions();

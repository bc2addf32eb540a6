CREATE OR REPLACE TRIGGER users_set_updated_at
BEFORE UPDATE ON roost.users
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

-- A sign-in or an update of the person waits for this row's lock, so no session comes after it.
CREATE OR REPLACE FUNCTION roost.end_sessions_of_user()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.revoke_sessions(NEW.id);
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_sessions_of_user() FROM PUBLIC;

COMMENT ON FUNCTION roost.end_sessions_of_user() IS
'Trigger: an account that is no longer active has no sessions.';

CREATE OR REPLACE TRIGGER users_end_sessions
AFTER UPDATE OF status ON roost.users
FOR EACH ROW
WHEN (OLD.status = 'active' AND NEW.status <> 'active')
EXECUTE FUNCTION roost.end_sessions_of_user();

-- Everywhere, also where they have left: who comes back needs no look at their account, whose lock
-- and that of their row would then be taken in both orders.
CREATE OR REPLACE FUNCTION roost.rename_participants()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_name text := roost.mention_name(NEW.display_name);
BEGIN
    UPDATE roost.conversation_participants AS participant
    SET mention_name = v_name
    WHERE participant.user_id = NEW.id AND participant.mention_name IS DISTINCT FROM v_name;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.rename_participants() FROM PUBLIC;

COMMENT ON FUNCTION roost.rename_participants() IS
'Trigger: a person is mentioned by the name that they have now.';

CREATE OR REPLACE TRIGGER users_rename_participants
AFTER UPDATE OF display_name ON roost.users
FOR EACH ROW
WHEN (OLD.display_name <> NEW.display_name)
EXECUTE FUNCTION roost.rename_participants();

-- The inbox is locked behind the rows of conversation_participants that a new name is written into,
-- since whoever removes a participant holds such a row and then writes to the inbox; and before
-- sessions (roost.revoke_sessions). So the offset is written afterwards. Triggers fire in order of
-- their names: where the status changes, this one is before users_end_sessions, and otherwise
-- behind users_rename_participants.
CREATE OR REPLACE FUNCTION roost.announce_account()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint := realtime.publish(
        format('user:%s', NEW.id), 'account.updated', row_to_json(roost.describe_account(NEW))
    );
BEGIN
    UPDATE roost.users AS account
    SET change_seq = v_offset
    WHERE account.id = NEW.id;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_account() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_account() IS
'Trigger: a change of an account is told to its person''s devices. last_login is none.';

CREATE OR REPLACE TRIGGER users_announce
AFTER UPDATE OF status ON roost.users
FOR EACH ROW
WHEN (OLD.status <> NEW.status)
EXECUTE FUNCTION roost.announce_account();

-- Column by column: a comparison of rows is another expression after a dump is restored.
CREATE OR REPLACE TRIGGER users_tell
AFTER UPDATE OF email, display_name, plan_type, preferences, security_settings ON roost.users
FOR EACH ROW
WHEN (
    OLD.status = NEW.status
    AND (
        OLD.email::text IS DISTINCT FROM NEW.email::text
        OR OLD.display_name IS DISTINCT FROM NEW.display_name
        OR OLD.plan_type IS DISTINCT FROM NEW.plan_type
        OR OLD.preferences IS DISTINCT FROM NEW.preferences
        OR OLD.security_settings IS DISTINCT FROM NEW.security_settings
    )
)
EXECUTE FUNCTION roost.announce_account();

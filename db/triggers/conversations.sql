-- Not for last_seq and last_activity: every message writes those.
CREATE OR REPLACE TRIGGER conversations_set_updated_at
BEFORE UPDATE OF
user_id, title, workspace_path, metadata, search_language, retention_days, archived_at, deleted_at
ON roost.conversations
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

-- The second wall, where a policy can't tell columns apart. STABLE, so that it sees the caller's
-- role as it was before the statement.
CREATE OR REPLACE FUNCTION roost.guard_conversation()
RETURNS trigger
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_refused text;
BEGIN
    SELECT string_agg(needed.permission, ', ' ORDER BY needed.permission)
    INTO v_refused
    FROM (
        VALUES
        (
            'conversation.update',
            (NEW.title, NEW.workspace_path, NEW.metadata::jsonb, NEW.search_language)
            IS DISTINCT FROM
            (OLD.title, OLD.workspace_path, OLD.metadata::jsonb, OLD.search_language)
        ),
        ('conversation.retain', NEW.retention_days IS DISTINCT FROM OLD.retention_days),
        ('conversation.archive', NEW.archived_at IS DISTINCT FROM OLD.archived_at),
        ('conversation.transfer', NEW.user_id <> OLD.user_id),
        -- In a deleted one nobody has a role: its owner may bring it back in time, and no more.
        (
            'conversation.delete',
            NEW.deleted_at IS DISTINCT FROM OLD.deleted_at
            AND (
                OLD.user_id = roost.current_user_id()
                AND OLD.deleted_at IS NOT NULL
                AND NEW.deleted_at IS NULL
                AND OLD.deleted_at > now() - roost.restore_period()
            ) IS NOT TRUE
        ),
        -- A permission that does not exist nobody has. Another time would be kept for ever, or be
        -- over at once.
        (
            'nothing',
            (NEW.archived_at IS DISTINCT FROM OLD.archived_at AND NEW.archived_at <> now())
            OR (NEW.deleted_at IS DISTINCT FROM OLD.deleted_at AND NEW.deleted_at <> now())
        )
    ) AS needed (permission, is_needed)
    WHERE needed.is_needed AND roost.is_permitted(OLD.id, needed.permission) IS NOT TRUE;

    IF v_refused IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = 'The caller may not change this of the conversation.',
            DETAIL = format('Needed: %s', v_refused),
            HINT = 'Ask roost.lock_conversation for the permission first.';
    END IF;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.guard_conversation() FROM PUBLIC;

COMMENT ON FUNCTION roost.guard_conversation() IS
'Trigger: what functions of api change of a conversation, the caller has the permission for.';

CREATE OR REPLACE TRIGGER conversations_guard
BEFORE UPDATE OF
user_id, title, workspace_path, metadata, search_language, retention_days, archived_at, deleted_at
ON roost.conversations
FOR EACH ROW
WHEN (current_user = 'roost_api')
EXECUTE FUNCTION roost.guard_conversation();

CREATE OR REPLACE FUNCTION roost.refuse_count()
RETURNS trigger
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = '42501',
        MESSAGE = 'A conversation counts up by one message at a time, while it takes any.',
        DETAIL = format(
            'last_seq: %s to %s; last_number: %s to %s',
            OLD.last_seq, NEW.last_seq, OLD.last_number, NEW.last_number
        ),
        HINT = 'Count up last_seq and last_number by one, and set last_activity to now().';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_count() FROM PUBLIC;

COMMENT ON FUNCTION roost.refuse_count() IS
'Trigger: functions of api count a conversation up by a message, as send_message does, and not in
any other way.';

-- Every message passes here: nothing is called unless it is refused. What else takes an offset does
-- so as the owner.
CREATE OR REPLACE TRIGGER conversations_guard_counts
BEFORE UPDATE OF last_seq, last_number, last_activity ON roost.conversations
FOR EACH ROW
WHEN (
    current_user = 'roost_api'
    AND (
        NEW.last_seq <> OLD.last_seq + 1
        OR NEW.last_number <> OLD.last_number + 1
        OR NEW.last_activity <> now()
        OR OLD.archived_at IS NOT NULL
        OR OLD.deleted_at IS NOT NULL
    )
)
EXECUTE FUNCTION roost.refuse_count();

-- However a conversation is deleted and restored. Runs as the owner, since nobody may write this.
CREATE OR REPLACE FUNCTION roost.suspend_participants()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE roost.conversation_participants AS participant
    SET suspended = NEW.deleted_at IS NOT NULL
    WHERE participant.conversation_id = NEW.id;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.suspend_participants() FROM PUBLIC;

COMMENT ON FUNCTION roost.suspend_participants() IS
'Trigger: in a deleted conversation nobody counts as a participant.';

CREATE OR REPLACE TRIGGER conversations_suspend_participants
AFTER UPDATE OF deleted_at ON roost.conversations
FOR EACH ROW
WHEN ((OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
EXECUTE FUNCTION roost.suspend_participants();

CREATE OR REPLACE FUNCTION roost.check_owner_of_conversation()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_one_owner(NEW.id);

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.check_owner_of_conversation() FROM PUBLIC;

COMMENT ON FUNCTION roost.check_owner_of_conversation() IS
'Trigger: at the end of a transaction a conversation has one owner, and it is its user_id.';

DROP TRIGGER IF EXISTS conversations_one_owner ON roost.conversations;
CREATE CONSTRAINT TRIGGER conversations_one_owner
AFTER UPDATE OF user_id ON roost.conversations
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW
WHEN (OLD.user_id <> NEW.user_id)
EXECUTE FUNCTION roost.check_owner_of_conversation();

DROP TRIGGER IF EXISTS conversations_one_owner_from_the_start ON roost.conversations;
CREATE CONSTRAINT TRIGGER conversations_one_owner_from_the_start
AFTER INSERT ON roost.conversations
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW
EXECUTE FUNCTION roost.check_owner_of_conversation();

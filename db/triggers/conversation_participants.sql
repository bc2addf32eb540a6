-- The second wall: a policy can't tell columns apart, nor what a row was from what it becomes.
-- STABLE, so that it sees roles as they were before the statement: a hand-over changes two.
CREATE OR REPLACE FUNCTION roost.guard_participant()
RETURNS trigger
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_is_own boolean;
    v_is_added boolean := true;
    v_needed text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- A first owner is the policy's to judge.
        v_needed := CASE WHEN NEW.role <> 'owner' THEN ARRAY['participant.add'] END;
    ELSE
        v_is_own := OLD.user_id IS NOT DISTINCT FROM roost.current_user_id();
        v_is_added := OLD.left_at IS NOT NULL AND NEW.left_at IS NULL;

        v_needed := CASE
            WHEN OLD.left_at IS NOT NULL
                -- Nobody comes back by themselves, and who has left stays as they were.
                THEN CASE
                    WHEN NEW.left_at IS NULL AND NEW.joined_at = now() AND NOT v_is_own
                        THEN ARRAY['participant.add']
                    ELSE ARRAY['nothing']
                END
            WHEN (NEW.joined_at, NEW.history_after_seq)
                IS DISTINCT FROM (OLD.joined_at, OLD.history_after_seq)
                OR NEW.left_at <> now()
                -- Least of all does anybody widen what they see.
                THEN ARRAY['nothing']
            ELSE array_remove(
                ARRAY[
                    CASE
                        WHEN NEW.left_at IS NULL THEN NULL
                        WHEN v_is_own THEN 'conversation.leave'
                        ELSE 'participant.remove'
                    END,
                    CASE
                        WHEN NEW.role = OLD.role THEN NULL
                        WHEN 'owner' IN (OLD.role, NEW.role) THEN 'conversation.transfer'
                        WHEN v_is_own THEN 'nothing'
                        ELSE 'participant.change_role'
                    END
                ],
                NULL
            )
        END;
    END IF;

    -- Nor does anybody show others what they do not see themselves, or hide what is to come.
    IF v_is_added AND NOT EXISTS (
        SELECT FROM roost.conversations AS conversation
        LEFT JOIN roost.conversation_participants AS own
            ON own.conversation_id = conversation.id
            AND own.user_id = roost.current_user_id()
        WHERE conversation.id = NEW.conversation_id
            AND NEW.history_after_seq
            BETWEEN coalesce(own.history_after_seq, 0) AND conversation.last_seq
    ) THEN
        v_needed := ARRAY['nothing'];
    END IF;

    -- Whoever has no account takes no part, and owns nothing.
    IF v_is_added OR NEW.role = 'owner' THEN
        PERFORM roost.require_active_users(ARRAY[NEW.user_id]);
    END IF;

    -- A permission that does not exist nobody has.
    IF EXISTS (
        SELECT FROM unnest(v_needed) AS needed (permission)
        WHERE roost.is_permitted(NEW.conversation_id, needed.permission) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = 'The caller may not change this of the participant.',
            DETAIL = format('Needed: %s', array_to_string(v_needed, ', ')),
            HINT = 'Ask roost.lock_conversation for the permission first.';
    END IF;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.guard_participant() FROM PUBLIC;

COMMENT ON FUNCTION roost.guard_participant() IS
'Trigger: what functions of api change of a participant, the caller has the permission for.';

CREATE OR REPLACE TRIGGER conversation_participants_guard
BEFORE INSERT OR UPDATE OF role, joined_at, left_at, history_after_seq
ON roost.conversation_participants
FOR EACH ROW
WHEN (current_user = 'roost_api')
EXECUTE FUNCTION roost.guard_participant();

-- Markers are moved with every message. Runs as the owner, so that looking is one step by index,
-- and no policy. STABLE: what the transaction has counted up before the statement counts.
CREATE OR REPLACE FUNCTION roost.guard_markers()
RETURNS trigger
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Whoever adds somebody, again too, says where they begin; that they may is asked by
    -- roost.guard_participant.
    IF TG_OP = 'UPDATE'
        AND OLD.user_id IS DISTINCT FROM roost.current_user_id()
        AND (OLD.left_at IS NULL OR NEW.left_at IS NOT NULL)
        AND (NEW.last_read_seq, NEW.last_delivered_seq, NEW.read_number)
        IS DISTINCT FROM (OLD.last_read_seq, OLD.last_delivered_seq, OLD.read_number)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = 'Nobody reads for somebody else.',
            DETAIL = format('Person: %s', OLD.user_id),
            HINT = 'Move the markers of the caller alone.';
    END IF;

    -- last_read_seq is never beyond last_delivered_seq.
    IF NOT EXISTS (
        SELECT FROM roost.conversations AS conversation
        WHERE conversation.id = NEW.conversation_id
            AND conversation.last_seq >= NEW.last_delivered_seq
            AND conversation.last_number >= NEW.read_number
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = 'Nobody has received or read what is not there yet.',
            DETAIL = format(
                'last_delivered_seq: %s; read_number: %s', NEW.last_delivered_seq, NEW.read_number
            ),
            HINT = 'Move markers up to last_seq and last_number of the conversation.';
    END IF;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.guard_markers() FROM PUBLIC;

COMMENT ON FUNCTION roost.guard_markers() IS
'Trigger: functions of api move markers of the caller alone, and up to what the conversation has.';

CREATE OR REPLACE TRIGGER conversation_participants_guard_markers
BEFORE INSERT OR UPDATE OF last_read_seq, last_delivered_seq, read_number
ON roost.conversation_participants
FOR EACH ROW
WHEN (current_user = 'roost_api')
EXECUTE FUNCTION roost.guard_markers();

-- Two devices that read at different speeds: whichever comes second, the further one stands.
CREATE OR REPLACE FUNCTION roost.keep_markers()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.last_read_seq := greatest(NEW.last_read_seq, OLD.last_read_seq);
    NEW.last_delivered_seq := greatest(NEW.last_delivered_seq, OLD.last_delivered_seq);
    NEW.read_number := greatest(NEW.read_number, OLD.read_number);

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.keep_markers() FROM PUBLIC;

COMMENT ON FUNCTION roost.keep_markers() IS
'Trigger: markers of a participant move forward only.';

CREATE OR REPLACE TRIGGER conversation_participants_keep_markers
BEFORE UPDATE OF last_read_seq, last_delivered_seq, read_number
ON roost.conversation_participants
FOR EACH ROW
WHEN (
    NEW.last_read_seq < OLD.last_read_seq
    OR NEW.last_delivered_seq < OLD.last_delivered_seq
    OR NEW.read_number < OLD.read_number
)
EXECUTE FUNCTION roost.keep_markers();

-- Adding somebody and renaming them wait for each other: otherwise neither would see the other's
-- row, and the old name would stay.
CREATE OR REPLACE FUNCTION roost.name_participant()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT roost.mention_name(account.display_name)
    INTO NEW.mention_name
    FROM roost.users AS account
    WHERE account.id = NEW.user_id
    FOR SHARE;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.name_participant() FROM PUBLIC;

COMMENT ON FUNCTION roost.name_participant() IS
'Trigger: a participant has the name by which they are mentioned.';

CREATE OR REPLACE TRIGGER conversation_participants_name
BEFORE INSERT OR UPDATE OF user_id ON roost.conversation_participants
FOR EACH ROW
EXECUTE FUNCTION roost.name_participant();

-- However somebody leaves: they do not type any more. Runs as the owner, since others write only
-- their own.
CREATE OR REPLACE FUNCTION roost.stop_typing()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM roost.typing_indicators AS typing
    WHERE typing.conversation_id = NEW.conversation_id AND typing.user_id = NEW.user_id;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.stop_typing() FROM PUBLIC;

COMMENT ON FUNCTION roost.stop_typing() IS
'Trigger: whoever has left a conversation does not type in it.';

CREATE OR REPLACE TRIGGER conversation_participants_stop_typing
AFTER UPDATE OF left_at ON roost.conversation_participants
FOR EACH ROW
WHEN (OLD.left_at IS NULL AND NEW.left_at IS NOT NULL)
EXECUTE FUNCTION roost.stop_typing();

CREATE OR REPLACE FUNCTION roost.check_owner_among_participants()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_one_owner(changed.conversation_id)
    FROM (
        SELECT OLD.conversation_id
        UNION
        SELECT NEW.conversation_id
    ) AS changed (conversation_id);

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.check_owner_among_participants() FROM PUBLIC;

COMMENT ON FUNCTION roost.check_owner_among_participants() IS
'Trigger: at the end of a transaction a conversation has one owner, and it is its user_id.';

DROP TRIGGER IF EXISTS conversation_participants_one_owner ON roost.conversation_participants;
CREATE CONSTRAINT TRIGGER conversation_participants_one_owner
AFTER UPDATE OF conversation_id, user_id, role, left_at ON roost.conversation_participants
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW
WHEN (OLD.role = 'owner' OR NEW.role = 'owner')
EXECUTE FUNCTION roost.check_owner_among_participants();

DROP TRIGGER IF EXISTS conversation_participants_one_owner_added ON roost.conversation_participants;
CREATE CONSTRAINT TRIGGER conversation_participants_one_owner_added
AFTER INSERT ON roost.conversation_participants
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW
WHEN (NEW.role = 'owner')
EXECUTE FUNCTION roost.check_owner_among_participants();

DROP TRIGGER IF EXISTS conversation_participants_one_owner_gone ON roost.conversation_participants;
CREATE CONSTRAINT TRIGGER conversation_participants_one_owner_gone
AFTER DELETE ON roost.conversation_participants
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW
WHEN (OLD.role = 'owner')
EXECUTE FUNCTION roost.check_owner_among_participants();

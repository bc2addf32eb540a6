-- What is written into messages is made whole here, whoever writes it, an operator in psql too: the
-- content fits the type, threads and mentions are found, and a change has its version, its row of
-- message_changes and its event. Nothing of this runs for what replies and reactions change in a
-- row. A trigger costs less here without a WHEN clause that would have to be planned for every
-- statement.

CREATE OR REPLACE FUNCTION roost.prepare_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_cure text;
    v_id uuid := NEW.parent_message_id;
    v_above record;
BEGIN
    -- The second wall: all that api.send_message does not say is as in any new message, it comes
    -- from the caller's device, and its place is the one that the conversation has just given.
    IF current_user = 'roost_api' AND (
        (
            NEW.change_seq, NEW.root_message_id, NEW.parent_seq, NEW.root_seq, NEW.reply_count,
            NEW.version, NEW.mentions, NEW.reactions, NEW.edited_at, NEW.deleted_at,
            NEW.deleted_by, NEW.purged_at, NEW.created_at, NEW.updated_at
        ) IS DISTINCT FROM (
            NEW.seq, NULL::uuid, NULL::bigint, NULL::bigint, 0::bigint,
            1::bigint, '{}'::uuid[], '[]'::jsonb, NULL::timestamptz, NULL::timestamptz,
            NULL::uuid, NULL::timestamptz, now(), now()
        )
        OR (
            NEW.device_id IS NOT NULL
            AND NEW.device_id IS DISTINCT FROM roost.current_device_id()
        )
        OR NOT EXISTS (
            SELECT FROM roost.conversations AS conversation
            WHERE conversation.id = NEW.conversation_id
                AND conversation.last_seq = NEW.seq
                AND conversation.last_number = NEW.number
                AND conversation.archived_at IS NULL
        )
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'A new message has no past, and the next place in a conversation.',
            DETAIL = format('Conversation: %s; seq: %s', NEW.conversation_id, NEW.seq),
            HINT = 'Send it with send_message.';
    END IF;

    -- Where there is none, the column refuses.
    IF NEW.content IS NOT NULL THEN
        v_cure := roost.content_cure(NEW.message_type, NEW.content, NEW.attachments);
    END IF;

    IF v_cure IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'The content is not what the message type asks for.',
            DETAIL = format('Type: %s', NEW.message_type),
            HINT = v_cure;
    END IF;

    IF NEW.change_seq = 0 THEN
        NEW.change_seq := NEW.seq;
    END IF;

    -- One step, but for a thread from before release 0.2.0 that has not got its root yet. As the
    -- caller, whom the policy shows no parent that is not theirs to see.
    IF v_id IS NOT NULL THEN
        NEW.root_message_id := NULL;
        NEW.parent_seq := NULL;

        WHILE v_id IS NOT NULL LOOP
            SELECT above.seq, above.parent_message_id, above.root_message_id, above.root_seq
            INTO v_above
            FROM roost.messages AS above
            WHERE above.conversation_id = NEW.conversation_id AND above.id = v_id;

            EXIT WHEN NOT FOUND;
            NEW.parent_seq := coalesce(NEW.parent_seq, v_above.seq);
            NEW.root_seq := CASE
                WHEN v_above.root_message_id IS NULL THEN v_above.seq ELSE v_above.root_seq
            END;
            NEW.root_message_id := coalesce(v_above.root_message_id, v_id);
            v_id := CASE WHEN v_above.root_message_id IS NULL THEN v_above.parent_message_id END;
        END LOOP;

        IF NEW.root_message_id IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'foreign_key_violation',
                MESSAGE = 'There is no such message to answer in this conversation.',
                DETAIL = format('Parent: %s', NEW.parent_message_id),
                HINT = 'Send the id of a message of the same conversation as parent_message_id.';
        END IF;
    END IF;

    IF strpos(NEW.content ->> 'text', '@') > 0 THEN
        NEW.mentions := roost.find_mentions(NEW.conversation_id, NEW.content ->> 'text');
    END IF;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.prepare_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.prepare_message() IS
'Trigger: a new message has content that fits its type, its thread and its mentions.';

CREATE OR REPLACE TRIGGER messages_prepare
BEFORE INSERT ON roost.messages
FOR EACH ROW
EXECUTE FUNCTION roost.prepare_message();

-- The second wall: a policy lets an author and an admin into the same row, and can't tell what they
-- change in it.
CREATE OR REPLACE FUNCTION roost.guard_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
BEGIN
    IF (NEW.deleted_at IS NULL OR NEW.purged_at IS DISTINCT FROM OLD.purged_at)
        AND OLD.purged_at IS NOT NULL
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'Nothing brings back what was deleted for good.',
            DETAIL = format('Message: %s', OLD.id),
            HINT = 'Send a new message.';
    ELSIF (NEW.deleted_at IS DISTINCT FROM OLD.deleted_at AND NEW.deleted_at <> now())
        OR (NEW.purged_at IS DISTINCT FROM OLD.purged_at AND NEW.purged_at <> now())
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'What is deleted is deleted now.',
            DETAIL = format('Message: %s', OLD.id),
            HINT = 'Set deleted_at or purged_at to now().';
    ELSIF OLD.deleted_at IS NULL
        AND NEW.deleted_at IS NULL
        AND NEW.purged_at IS NULL
        AND v_user_id IS DISTINCT FROM OLD.user_id
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'Only its author changes what a message says.',
            DETAIL = format('Message: %s', OLD.id),
            HINT = 'Reply to it, or let its author edit it.';
    ELSIF OLD.deleted_at IS NULL
        AND NEW.deleted_at IS NULL
        AND NEW.purged_at IS NULL
        AND NOT roost.is_permitted(
            OLD.conversation_id,
            CASE OLD.message_type
                WHEN 'system' THEN 'message.send_system' ELSE 'message.edit_own'
            END
        )
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'Its author may not edit it any more.',
            DETAIL = format('Message: %s', OLD.id),
            HINT = 'Ask an admin or the owner of the conversation.';
    ELSIF OLD.deleted_at IS NOT NULL
        AND NEW.deleted_at IS NULL
        AND (v_user_id, v_user_id) IS DISTINCT FROM (OLD.user_id, OLD.deleted_by)
        AND NOT roost.is_permitted(OLD.conversation_id, 'message.delete_any')
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'Somebody else deleted it.',
            DETAIL = format('Message: %s', OLD.id),
            HINT = 'Ask an admin or the owner of the conversation to restore it.';
    END IF;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.guard_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.guard_message() IS
'Trigger: functions of api let nobody write into somebody else''s message, nor bring back what is
not theirs to bring back.';

CREATE OR REPLACE TRIGGER messages_guard
BEFORE UPDATE OF content, metadata, deleted_at, purged_at ON roost.messages
FOR EACH ROW
WHEN (current_user = 'roost_api')
EXECUTE FUNCTION roost.guard_message();

-- Runs as the owner, for whom alone the content of a deleted message is. What a restored message
-- says is taken from there, whatever the statement has.
CREATE OR REPLACE FUNCTION roost.prepare_message_change()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_cure text;
BEGIN
    -- The hash of a short text gives the text away.
    IF NEW.purged_at IS NOT NULL THEN
        NEW.request_hash := NULL;
    END IF;

    IF OLD.purged_at IS NOT NULL THEN
        NEW.deleted_at := OLD.deleted_at;
        NEW.purged_at := OLD.purged_at;
    ELSIF NEW.purged_at IS NOT NULL AND NEW.deleted_at IS NULL THEN
        NEW.deleted_at := now();
    END IF;

    IF NEW.deleted_at IS NOT NULL THEN
        NEW.deleted_at := coalesce(OLD.deleted_at, NEW.deleted_at);
        NEW.content := '{}';
        NEW.metadata := '{}';
        NEW.mentions := '{}';
        NEW.attachments := '[]';
        NEW.reactions := '[]';
    ELSIF OLD.deleted_at IS NOT NULL THEN
        SELECT
            (change.before -> 'content')::roost.message_content,
            (change.before -> 'metadata')::roost.json_object
        INTO STRICT NEW.content, NEW.metadata
        FROM roost.message_changes AS change
        WHERE change.message_id = OLD.id AND change.change_type = 'deleted'
        ORDER BY change.seq DESC
        LIMIT 1;

        NEW.attachments := (
            SELECT coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'id', attached.id,
                        'name', attached.name,
                        'media_type', attached.media_type,
                        'size', attached.size,
                        'sha256', attached.sha256,
                        'file_id', attached.file_id,
                        'url', attached.url
                    )
                    ORDER BY attached.place
                ),
                '[]'
            )
            FROM roost.message_attachments AS attached
            WHERE attached.message_id = OLD.id
        );
        NEW.reactions := roost.summarise_reactions(OLD.id);
    END IF;

    IF (NEW.content, NEW.metadata, NEW.deleted_at, NEW.purged_at)
        IS NOT DISTINCT FROM (OLD.content, OLD.metadata, OLD.deleted_at, OLD.purged_at)
    THEN
        RETURN NEW;
    END IF;

    IF NEW.deleted_at IS NULL AND NEW.content IS DISTINCT FROM OLD.content THEN
        IF OLD.deleted_at IS NULL AND NEW.content IS NOT NULL THEN
            v_cure := roost.content_cure(NEW.message_type, NEW.content, NEW.attachments);
            NEW.edited_at := now();
        END IF;

        IF v_cure IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation',
                MESSAGE = 'The content is not what the message type asks for.',
                DETAIL = format('Type: %s', NEW.message_type),
                HINT = v_cure;
        END IF;

        NEW.mentions := CASE
            WHEN strpos(NEW.content ->> 'text', '@') > 0
                THEN roost.find_mentions(NEW.conversation_id, NEW.content ->> 'text')
            ELSE '{}'
        END;
    END IF;

    IF NEW.deleted_at IS NULL THEN
        NEW.deleted_by := NULL;
    ELSIF OLD.deleted_at IS NULL THEN
        NEW.deleted_by := roost.current_user_id();
    END IF;

    NEW.version := OLD.version + 1;
    NEW.updated_at := now();

    UPDATE roost.conversations AS conversation
    SET last_seq = conversation.last_seq + 1
    WHERE conversation.id = OLD.conversation_id
    RETURNING conversation.last_seq INTO STRICT NEW.change_seq;

    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.prepare_message_change() FROM PUBLIC;

COMMENT ON FUNCTION roost.prepare_message_change() IS
'Trigger: an edited, deleted, restored or purged message has its next version and its offset; a
deleted one has no content, a restored one what it had.';

CREATE OR REPLACE TRIGGER messages_prepare_change
BEFORE UPDATE OF content, metadata, deleted_at, purged_at ON roost.messages
FOR EACH ROW
EXECUTE FUNCTION roost.prepare_message_change();

CREATE OR REPLACE FUNCTION roost.record_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO roost.message_changes (
        conversation_id, seq, message_id, change_type, version, user_id, device_id, created_at
    )
    VALUES (
        NEW.conversation_id, NEW.change_seq, NEW.id, 'created', NEW.version, NEW.user_id,
        NEW.device_id, NEW.created_at
    );

    IF NEW.mentions <> '{}' THEN
        INSERT INTO roost.message_mentions (user_id, message_id, conversation_id, created_at)
        SELECT mentioned.user_id, NEW.id, NEW.conversation_id, NEW.created_at
        FROM unnest(NEW.mentions) AS mentioned (user_id);
    END IF;

    IF NEW.root_message_id IS NOT NULL THEN
        UPDATE roost.messages AS root
        SET reply_count = root.reply_count + 1, change_seq = NEW.change_seq
        WHERE root.id = NEW.root_message_id;
    END IF;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.record_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.record_message() IS
'Trigger: a new message is in message_changes and message_mentions, and counted in its thread.';

CREATE OR REPLACE TRIGGER messages_record
AFTER INSERT ON roost.messages
FOR EACH ROW
EXECUTE FUNCTION roost.record_message();

CREATE OR REPLACE FUNCTION roost.record_message_change()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_topic text := 'conversation:' || NEW.conversation_id;
    v_message json := row_to_json(roost.describe_message(NEW));
    v_change roost.message_change_type := CASE
        WHEN NEW.purged_at IS NOT NULL THEN 'purged'::roost.message_change_type
        WHEN NEW.deleted_at IS NOT NULL THEN 'deleted'::roost.message_change_type
        WHEN OLD.deleted_at IS NOT NULL THEN 'restored'::roost.message_change_type
        ELSE 'updated'::roost.message_change_type
    END;
BEGIN
    -- A message from before release 0.2.0 that roost.backfill_messages has not come to.
    IF OLD.number = 0 THEN
        INSERT INTO roost.message_changes (
            conversation_id, seq, message_id, change_type, version, user_id, device_id, created_at
        )
        VALUES (
            OLD.conversation_id, OLD.seq, OLD.id, 'created', OLD.version, OLD.user_id,
            OLD.device_id, OLD.created_at
        )
        ON CONFLICT ON CONSTRAINT message_changes_pkey DO NOTHING;
    END IF;

    IF v_change = 'purged' THEN
        UPDATE roost.message_changes AS change
        SET before = NULL
        WHERE change.message_id = NEW.id AND change.before IS NOT NULL;

        DELETE FROM roost.message_attachments AS attached WHERE attached.message_id = NEW.id;

        DELETE FROM roost.message_reactions AS given WHERE given.message_id = NEW.id;
    END IF;

    -- What is replayed from before the deletion must not show it.
    IF v_change IN ('deleted', 'purged') THEN
        PERFORM realtime.redact(
            v_topic,
            ARRAY(
                SELECT change.seq
                FROM roost.message_changes AS change
                WHERE change.message_id = NEW.id
            ),
            v_message
        );

        UPDATE realtime.events AS event
        SET payload = json_build_object(
            'message_id', NEW.id,
            'conversation_id', NEW.conversation_id,
            'seq', NEW.seq,
            'user_id', NULL,
            'reaction', NULL,
            'added', false,
            'reactions', '[]'::json
        )
        WHERE event.topic = v_topic AND event.about_offset = NEW.seq AND event.event = 'reaction';
    END IF;

    INSERT INTO roost.message_changes (
        conversation_id, seq, message_id, change_type, version, before, user_id, device_id
    )
    VALUES (
        NEW.conversation_id,
        NEW.change_seq,
        NEW.id,
        v_change,
        NEW.version,
        CASE
            WHEN v_change IN ('updated', 'deleted')
                THEN jsonb_build_object('content', OLD.content, 'metadata', OLD.metadata)
        END,
        roost.current_user_id(),
        roost.current_device_id()
    );

    IF NEW.mentions IS DISTINCT FROM OLD.mentions THEN
        DELETE FROM roost.message_mentions AS mention
        WHERE mention.message_id = NEW.id AND mention.user_id <> ALL (NEW.mentions);

        INSERT INTO roost.message_mentions (user_id, message_id, conversation_id, created_at)
        SELECT mentioned.user_id, NEW.id, NEW.conversation_id, NEW.created_at
        FROM unnest(NEW.mentions) AS mentioned (user_id)
        ON CONFLICT ON CONSTRAINT message_mentions_pkey DO NOTHING;
    END IF;

    PERFORM realtime.append(
        v_topic,
        NEW.change_seq,
        'message.' || CASE v_change WHEN 'purged' THEN 'deleted' ELSE v_change::text END,
        v_message,
        NEW.seq
    );

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.record_message_change() FROM PUBLIC;

COMMENT ON FUNCTION roost.record_message_change() IS
'Trigger: a change of a message is in message_changes, and an event tells of it. What was deleted is
in no stored event, what was purged nowhere.';

CREATE OR REPLACE TRIGGER messages_record_change
AFTER UPDATE OF content, metadata, deleted_at, purged_at ON roost.messages
FOR EACH ROW
WHEN (OLD.change_seq <> NEW.change_seq)
EXECUTE FUNCTION roost.record_message_change();

-- Retention takes the beginning of a thread first, and then there is nothing to count in.
CREATE OR REPLACE FUNCTION roost.forget_reply()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE roost.messages AS root
    SET reply_count = root.reply_count - 1
    WHERE root.id = OLD.root_message_id;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_reply() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_reply() IS
'Trigger: a reply whose row goes is counted no more in its thread.';

CREATE OR REPLACE TRIGGER messages_forget_reply
AFTER DELETE ON roost.messages
FOR EACH ROW
WHEN (OLD.root_message_id IS NOT NULL)
EXECUTE FUNCTION roost.forget_reply();

-- In place of a foreign key of message_changes. The rows are written under the message's lock, or
-- with the message: whoever deletes it sees them. Through an array, so that a plan that was made
-- for many messages does not read all changes for one.
CREATE OR REPLACE FUNCTION roost.forget_message_changes()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM roost.message_changes AS change
    WHERE change.message_id = ANY (ARRAY(SELECT gone.id FROM gone));

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_message_changes() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_message_changes() IS
'Trigger: messages that are gone have no history.';

CREATE OR REPLACE TRIGGER messages_forget_changes
AFTER DELETE ON roost.messages
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.forget_message_changes();

CREATE OR REPLACE FUNCTION roost.forget_all_message_changes()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    TRUNCATE roost.message_changes;
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.forget_all_message_changes() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_all_message_changes() IS
'Trigger: without messages there is no history of any.';

CREATE OR REPLACE TRIGGER messages_forget_all_changes
AFTER TRUNCATE ON roost.messages
FOR EACH STATEMENT
EXECUTE FUNCTION roost.forget_all_message_changes();

-- The other half of the foreign key. No update but of this column looks at it.
CREATE OR REPLACE FUNCTION roost.keep_message_id()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'foreign_key_violation',
        MESSAGE = 'A message keeps its id.',
        DETAIL = format('Message: %s', OLD.id),
        HINT = 'Insert a new message, and delete this one.';
END;
$$;

REVOKE ALL ON FUNCTION roost.keep_message_id() FROM PUBLIC;

COMMENT ON FUNCTION roost.keep_message_id() IS
'Trigger: what refers to a message by its id goes on doing so.';

CREATE OR REPLACE TRIGGER messages_keep_id
BEFORE UPDATE OF id ON roost.messages
FOR EACH ROW
WHEN (OLD.id <> NEW.id)
EXECUTE FUNCTION roost.keep_message_id();

-- Whoever deletes rows, an operator in psql too, or with a person: no replay shows them any more.
-- What is left of a conversation that was purged nobody reads, and its events go as well.
CREATE OR REPLACE FUNCTION roost.redact_gone_messages()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation_id uuid;
BEGIN
    FOR v_conversation_id IN
        SELECT DISTINCT gone.conversation_id
        FROM gone
        WHERE NOT EXISTS (
            SELECT FROM roost.conversations AS conversation
            WHERE conversation.id = gone.conversation_id AND conversation.purged_at IS NOT NULL
        )
    LOOP
        PERFORM roost.redact_gone(
            v_conversation_id,
            ARRAY(
                SELECT roost.describe_gone(gone)
                FROM gone
                WHERE gone.conversation_id = v_conversation_id
            ),
            'infinity'
        );
    END LOOP;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.redact_gone_messages() FROM PUBLIC;

COMMENT ON FUNCTION roost.redact_gone_messages() IS
'Trigger: of messages that are gone the stored events say no more than that they were there.';

CREATE OR REPLACE TRIGGER messages_redact_gone
AFTER DELETE ON roost.messages
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.redact_gone_messages();

-- The index follows the message in the same transaction, so that what was deleted is not found from
-- the moment at which it is deleted. The names sort these behind the other triggers of the table:
-- what they write into a row, such as its attachments, is in it by then.
CREATE OR REPLACE FUNCTION roost.index_sent_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.index_message(NEW, nextval('roost.message_search_places'));
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.index_sent_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.index_sent_message() IS
'Trigger: a message can be found from the moment at which it is sent.';

CREATE OR REPLACE TRIGGER messages_search_insert
AFTER INSERT ON roost.messages
FOR EACH ROW
EXECUTE FUNCTION roost.index_sent_message();

-- An edited message keeps its place, a restored one gets that of its time: otherwise a search of
-- that time would not find it.
CREATE OR REPLACE FUNCTION roost.index_changed_message()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.content IS DISTINCT FROM NEW.content OR NEW.deleted_at IS NOT NULL THEN
        DELETE FROM roost.message_embeddings AS embedded WHERE embedded.message_id = NEW.id;
    -- One more reply in a thread changes nothing: only the first makes a message one's root.
    ELSIF (OLD.attachments, OLD.message_type, OLD.root_message_id, OLD.reply_count > 0)
        IS NOT DISTINCT FROM
        (NEW.attachments, NEW.message_type, NEW.root_message_id, NEW.reply_count > 0)
    THEN
        RETURN NULL;
    END IF;

    PERFORM roost.index_message(
        NEW,
        coalesce(
            (
                SELECT indexed.place
                FROM roost.message_search_index AS indexed
                WHERE indexed.conversation_id = NEW.conversation_id AND indexed.seq = NEW.seq
            ),
            roost.search_place(NEW.created_at)
        )
    );

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.index_changed_message() FROM PUBLIC;

COMMENT ON FUNCTION roost.index_changed_message() IS
'Trigger: an edited message is found by its new text alone, a deleted one not at all.';

CREATE OR REPLACE TRIGGER messages_search_update
AFTER UPDATE OF
    content, attachments, deleted_at, purged_at, message_type, root_message_id, reply_count
ON roost.messages
FOR EACH ROW
EXECUTE FUNCTION roost.index_changed_message();

CREATE OR REPLACE FUNCTION roost.unindex_messages()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM roost.message_search_index AS indexed
    USING gone
    WHERE indexed.conversation_id = gone.conversation_id AND indexed.seq = gone.seq;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.unindex_messages() FROM PUBLIC;

COMMENT ON FUNCTION roost.unindex_messages() IS
'Trigger: messages that are gone are not found.';

CREATE OR REPLACE TRIGGER messages_search_delete
AFTER DELETE ON roost.messages
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.unindex_messages();

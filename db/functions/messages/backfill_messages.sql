-- In the order of the index that lists a conversation, in which a reply comes after what it replies
-- to. Whoever comes second has nothing to do. Each conversation is locked before its messages are
-- read, as by everybody who writes one: with a wait while there is nothing yet that others may wait
-- for, else left to the next call. The messages are locked as a key of another table would: what
-- goes meanwhile is left out.
CREATE OR REPLACE FUNCTION roost.backfill_messages(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_until timestamptz := clock_timestamp() + interval '0.5 seconds';
    v_position roost.message_backfill;
    v_conversation_id uuid;
    v_message roost.messages;
    v_root_message_id uuid;
    v_done bigint := 0;
BEGIN
    SELECT backfill.*
    INTO v_position
    FROM roost.message_backfill AS backfill
    WHERE backfill.finished_at IS NULL
    FOR UPDATE SKIP LOCKED;

    IF NOT FOUND THEN
        RETURN 0::bigint;
    END IF;

    WHILE v_done < p_limit AND clock_timestamp() < v_until LOOP
        SELECT message.conversation_id
        INTO v_conversation_id
        FROM roost.messages AS message
        WHERE (message.conversation_id, message.seq) > (v_position.conversation_id, v_position.seq)
        ORDER BY message.conversation_id, message.seq
        LIMIT 1;

        IF NOT FOUND THEN
            v_position.finished_at := now();
            EXIT;
        END IF;

        IF v_conversation_id <> v_position.conversation_id THEN
            v_position.conversation_id := v_conversation_id;
            v_position.seq := 0;
        END IF;

        IF v_done = 0 THEN
            PERFORM FROM roost.conversations AS conversation
            WHERE conversation.id = v_conversation_id
            FOR NO KEY UPDATE;
        ELSE
            PERFORM FROM roost.conversations AS conversation
            WHERE conversation.id = v_conversation_id
            FOR NO KEY UPDATE SKIP LOCKED;

            EXIT WHEN NOT FOUND;
        END IF;

        FOR v_message IN
            SELECT message.*
            FROM roost.messages AS message
            WHERE message.conversation_id = v_conversation_id AND message.seq > v_position.seq
            ORDER BY message.seq
            LIMIT p_limit - v_done
            FOR KEY SHARE
        LOOP
            v_position.seq := v_message.seq;
            v_done := v_done + 1;

            CONTINUE WHEN v_message.number > 0;

            INSERT INTO roost.message_changes (
                conversation_id, seq, message_id, change_type, version, user_id, device_id,
                created_at
            )
            VALUES (
                v_message.conversation_id, v_message.seq, v_message.id, 'created', 1,
                v_message.user_id, v_message.device_id, v_message.created_at
            )
            ON CONFLICT ON CONSTRAINT message_changes_pkey DO NOTHING;

            UPDATE roost.messages AS reply
            SET root_message_id = coalesce(parent.root_message_id, parent.id),
                -- That of the root, also where the parent's own has expired: then the parent is.
                root_seq = CASE
                    WHEN parent.root_message_id IS NULL THEN parent.seq ELSE parent.root_seq
                END,
                parent_seq = parent.seq
            FROM roost.messages AS parent
            WHERE reply.id = v_message.id
                AND reply.root_message_id IS NULL
                AND parent.conversation_id = reply.conversation_id
                AND parent.id = reply.parent_message_id
                AND (parent.parent_message_id IS NULL OR parent.root_message_id IS NOT NULL)
            RETURNING reply.root_message_id INTO v_root_message_id;

            IF FOUND THEN
                UPDATE roost.messages AS root
                SET reply_count = root.reply_count + 1
                WHERE root.id = v_root_message_id;
            END IF;

            -- What is in a large message is indexed anew with its thread.
            EXIT WHEN clock_timestamp() > v_until;
        END LOOP;
    END LOOP;

    UPDATE roost.message_backfill AS backfill
    SET conversation_id = v_position.conversation_id,
        seq = v_position.seq,
        finished_at = v_position.finished_at;

    RETURN v_done;
END;
$$;

REVOKE ALL ON FUNCTION roost.backfill_messages(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.backfill_messages(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.backfill_messages(integer) IS
'Gives messages from before release 0.2.0 their thread and their row of message_changes, up to
p_limit of them or for about half a second, and answers how many it has looked at: call it again,
each time in a transaction of its own, until it answers 0.';

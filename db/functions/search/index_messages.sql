-- The conversation is locked before its messages are read, as by everybody who writes one: else an
-- edit that commits between the reading and the writing here would be indexed by its old text. The
-- lock is held for p_limit messages or some half a second at most. Two of these at once take
-- different conversations.
CREATE OR REPLACE FUNCTION roost.index_messages(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A long message takes as long as hundreds of short ones.
    c_time CONSTANT interval := interval '500 milliseconds';
    v_until CONSTANT timestamptz := clock_timestamp() + c_time;
    v_left integer := p_limit;
    v_conversation_id uuid;
    v_before_seq bigint;
    v_message roost.messages;
    v_done integer;
    v_is_over boolean := false;
BEGIN
    WHILE v_left > 0 AND NOT v_is_over LOOP
        -- In this order: whoever changes the language has the conversation and then writes the
        -- queue. Conversations that somebody is writing to come another time.
        SELECT conversation.id
        INTO v_conversation_id
        FROM roost.search_queue AS queued
        JOIN roost.conversations AS conversation ON conversation.id = queued.conversation_id
        LIMIT 1
        FOR NO KEY UPDATE OF conversation SKIP LOCKED;

        EXIT WHEN NOT FOUND;

        SELECT queued.before_seq
        INTO v_before_seq
        FROM roost.search_queue AS queued
        WHERE queued.conversation_id = v_conversation_id;

        v_done := 0;
        FOR v_message IN
            SELECT message.*
            FROM roost.messages AS message
            WHERE message.conversation_id = v_conversation_id AND message.seq < v_before_seq
            ORDER BY message.seq DESC
            LIMIT v_left
        LOOP
            PERFORM roost.index_message(
                v_message,
                coalesce(
                    (
                        SELECT indexed.place
                        FROM roost.message_search_index AS indexed
                        WHERE indexed.conversation_id = v_conversation_id
                            AND indexed.seq = v_message.seq
                    ),
                    roost.search_place(v_message.created_at)
                )
            );
            v_done := v_done + 1;
            v_is_over := clock_timestamp() > v_until;
            EXIT WHEN v_is_over;
        END LOOP;

        IF v_done < v_left AND NOT v_is_over THEN
            DELETE FROM roost.search_queue AS queued
            WHERE queued.conversation_id = v_conversation_id;
        ELSE
            UPDATE roost.search_queue AS queued
            SET before_seq = v_message.seq
            WHERE queued.conversation_id = v_conversation_id;
        END IF;

        v_left := v_left - greatest(v_done, 1);
    END LOOP;

    -- Conversations that are gone have nothing to be indexed.
    DELETE FROM roost.search_queue AS queued
    WHERE NOT EXISTS (
        SELECT FROM roost.conversations AS conversation
        WHERE conversation.id = queued.conversation_id
    );

    -- All that is left is being written to by others: not now.
    IF v_left = p_limit THEN
        RETURN 0;
    END IF;

    RETURN (SELECT count(*) FROM roost.search_queue);
END;
$$;

REVOKE ALL ON FUNCTION roost.index_messages(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.index_messages(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.index_messages(integer) IS
'Indexes up to p_limit messages from before release 0.2.0, and of conversations whose language has
changed, for about half a second, and answers how many conversations are left at least: call it
again, each time in a transaction of its own, until it answers 0. It passes by conversations that
somebody is writing to: when there is nothing else to do it answers 0 as well, and they are for the
next round.';
